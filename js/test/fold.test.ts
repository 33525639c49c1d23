import { describe, expect, it } from "vitest";
import { fold, groupsOf, type Shown } from "../src/graph/fold";
import { sceneOfRun } from "../src/graph/runscene";
import { Run } from "../src/run";
import { golden } from "./golden";

const scene = sceneOfRun(new Run(golden("nested")), { color: null, size: null });
const [group = -1] = groupsOf(scene);
const all = (direction: "across" | "down", folded = new Set([group])) => fold(scene, scene.layout[direction], folded);

const overlaps = ({ nodes }: Shown) =>
  nodes.flatMap((a, i) =>
    nodes.slice(i + 1).filter((b) => a.kind !== "group" && b.kind !== "group" && Math.abs(a.x - b.x) < (a.width + b.width) / 2 - 0.2 && Math.abs(a.y - b.y) < (a.height + b.height) / 2 - 0.2),
  );

it("an open subgraph stays where the layout put it", () => {
  const shown = all("across", new Set());
  expect(shown.nodes.map(({ x, y }) => [x, y])).toEqual(scene.layout.across.nodes.map(([x, y]) => [x, y]));
  expect(shown.edges.length).toBe(scene.edges.length);
});

describe.each(["across", "down"] as const)("a folded subgraph, %s", (direction) => {
  it("hides what lies in it and says how much", () => {
    const shown = all(direction);
    expect(shown.nodes.length).toBe(scene.nodes.length - 2);
    expect(shown.nodes.find((node) => node.index === group)).toMatchObject({ kind: "folded", hides: 2 });
  });

  it("keeps the ways that lead in and out, and loses those inside", () => {
    const shown = all(direction);
    const name = (index: number) => scene.nodes[index]?.label;
    expect(shown.edges.map((edge) => `${name(edge.source)}>${name(edge.target)}`)).toEqual([
      "plan>research", "research>write", ">plan", "write>", "research>fact_check", "fact_check>write",
    ]);
  });

  it("gives its space back, and nothing overlaps", () => {
    const [open, shut] = [all(direction, new Set()), all(direction)];
    expect(overlaps(shut)).toEqual([]);
    const size = direction === "across" ? "width" : "height";
    expect(shut[size]).toBeLessThan(open[size]);
    for (const node of shut.nodes) expect(Number.isFinite(node.x + node.y)).toBe(true);
  });

  it("keeps everything in its order", () => {
    const [open, shut] = [all(direction, new Set()), all(direction)];
    const axis = direction === "across" ? "x" : "y";
    const order = (shown: Shown) => shown.nodes.filter((node) => shut.nodes.some((other) => other.index === node.index)).sort((a, b) => a[axis] - b[axis] || a.index - b.index).map((node) => node.index);
    expect(order(shut)).toEqual(order(open));
  });
});

it("a circle of parents, which no run should have, ends", () => {
  const broken = { ...scene, nodes: scene.nodes.map((node, index) => ({ ...node, parent: index === 1 ? 2 : index === 2 ? 1 : node.parent })) };
  expect(() => fold(broken, scene.layout.across, new Set([1, 2]))).not.toThrow();
});
