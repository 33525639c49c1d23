import cytoscape from "cytoscape";
import { describe, expect, it } from "vitest";
import { Comparison } from "../src/compare/comparison";
import { toElements } from "../src/graph/elements";
import { money, short } from "../src/graph/metrics";
import type { Scene } from "../src/graph/scene";
import { factsOf, measure, measuresOf, rareEdges, sceneOfMap, writeMeasure } from "../src/map/scene";
import type { ComparisonPayload, ProcessMapPayload } from "../src/protocol.gen";
import { isOther } from "../src/other";
import { golden } from "./golden";

const comparison = new Comparison(golden("comparison") as unknown as ComparisonPayload);
const map = golden("process_map") as unknown as ProcessMapPayload;
const draw = (scene: Scene) => cytoscape({ headless: true, styleEnabled: true, elements: toElements(scene, scene.layout.across), layout: { name: "preset" } });
const labels = (scene: Scene, selector: string) => draw(scene).nodes(selector).map((node) => node.data("label") as string);

describe("two runs", () => {
  it("are one graph that says who came where, also without colours", () => {
    const scene = comparison.scene();
    expect(labels(scene, ".first")).toEqual(["A submitted"]);
    expect(labels(scene, ".both")).toContain("rank");
    expect(labels(scene, ".failing")).toEqual(["present"]);
    expect(draw(scene).nodes(".both").map((node) => node.data("badge") as string)).toContain("3|2");
  });

  it("part at a step, which is found", () => {
    const at = comparison.firstDifference() ?? -1;
    expect(comparison.describe(at)).toBe("refine #2, only in yesterday");
    expect(comparison.payload.alignment.slice(0, at).every((pair) => pair.kind === "same")).toBe(true);
  });

  it("are told apart fact by fact", () => {
    const changed = comparison.payload.alignment.findIndex((pair) => pair.kind === "changed");
    expect(comparison.facts(changed).slice(0, 3)).toEqual([
      ["status", "completed", "failed", "changed"], ["began", "3.83 s", "2.73 s", "−1.11 s"], ["took", "420 ms", "310 ms", "−110 ms"],
    ]);
  });

  it("lead from a pair to its node and back", () => {
    comparison.payload.alignment.forEach((_, index) => {
      const node = comparison.nodeOf(index);
      expect(node).not.toBeNull();
      expect(comparison.pairsOfNode(node ?? -1)).toContain(index);
    });
  });
});

describe("a process map", () => {
  const node = (name: string) => map.nodes.find((one) => one.name === name)?.numbers ?? [];

  it("shows what it has numbers for", () => {
    expect(measuresOf(map)).toEqual(["engagements", "times", "duration", "dropped", "tokens", "cost"]);
    expect(measuresOf({ ...map, nodes: map.nodes.map((one) => ({ ...one, numbers: one.numbers.map((n) => ({ ...n, cost: null })) })) })).not.toContain("cost");
  });

  it("compares groups of different size by engagement", () => {
    // 7 of 10 against 9 of 20.
    expect(measure(map, node("submitted"), "engagements", "difference")).toBeCloseTo(-0.25);
    expect(writeMeasure(-0.25, "engagements", "difference")).toBe("−25 pp");
    expect(measure(map, node("search"), "duration", "difference")).toBe(1_000 - 1_600);
  });

  it("counts what one group never did as none, and does not invent a duration for it", () => {
    expect(measure(map, node("refine"), "engagements", "difference")).toBeCloseTo(-0.6);
    expect(measure(map, node("refine"), "duration", "difference")).toBeNull();
  });

  it("colours by the number, and marks the sign of a difference otherwise too", () => {
    const scene = sceneOfMap(map, "engagements", 0);
    expect(Math.max(...scene.nodes.map((one) => one.heat ?? 0))).toBe(1);
    expect(scene.nodes.find((one) => one.label === "submitted")?.note).toBe("7");
    const difference = sceneOfMap(map, "times", "difference");
    const less = difference.edges.filter((edge) => edge.classes.includes("less"));
    expect(less.every((edge) => edge.label.startsWith("−"))).toBe(true);
    expect(less.length).toBeGreaterThan(2);
  });

  it("leaves out ways that few took, of any group", () => {
    const name = (index: number) => map.nodes[index]?.name;
    const kept = (share: number) => map.edges.filter((_, index) => !rareEdges(map, share).has(index)).map((edge) => `${name(edge.source)}>${name(edge.target)}`);
    expect(kept(0).length).toBe(map.edges.length);
    expect(kept(0.65)).toEqual(["search>submitted", ">greet", "greet>search", "submitted>"].sort((a, b) => kept(0.65).indexOf(a) - kept(0.65).indexOf(b)));
  });

  it("lists all numbers of a node", () => {
    expect(factsOf(map, node("submitted"))[0]).toEqual(["engagements", "7", "9", "−25 pp"]);
    expect(factsOf(map, node("refine"))[2]?.slice(0, 3)).toEqual(["median duration", "600 ms", "–"]);
  });
});

it("is told from a run by what it says it is", () => {
  expect([golden("house"), golden("comparison"), golden("process_map"), null, "x"].map(isOther)).toEqual([false, true, true, false, false]);
});

it("writes numbers short", () => {
  expect([950, 1_250, 12_000, 150_000, 3.4e6].map(short)).toEqual(["950", "1.3k", "12k", "150k", "3.4M"]);
  expect([0, 0.0042, 1.5, 310].map(money)).toEqual(["0", "0.0042", "1.50", "310"]);
});
