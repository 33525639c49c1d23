// Folding subgraphs: what lies in one is hidden, its edges lead to it, and the space it took is given back. Pure.

import type { Placement } from "../protocol.gen";
import type { Scene } from "./scene";

/** As the layout reckons (ftnb/widget/layout.py). */
const [CHAR_WIDTH, LABEL_MARGIN, MIN_WIDTH, MAX_WIDTH, HEIGHT] = [7.2, 62, 84, 220, 40];
/** What stays of a stretch in which nothing stands any more, and the border of an open group. */
const GAP = 30;
const BORDER = 14;
const TITLE = 32;

export interface ShownNode {
  /** Into the scene. */
  index: number;
  x: number;
  y: number;
  width: number;
  height: number;
  kind: "leaf" | "group" | "folded";
  parent: number | null;
  /** How many nodes are hidden in it. */
  hides: number;
}

export interface ShownEdge {
  /** Edges of the scene that it stands for. */
  members: number[];
  source: number;
  target: number;
  /** x, y … */
  bends: number[];
}

export interface Shown {
  nodes: ShownNode[];
  edges: ShownEdge[];
  width: number;
  height: number;
}

/** The nodes with children. */
export function groupsOf(scene: Pick<Scene, "nodes">): number[] {
  return [...new Set(scene.nodes.map((node) => node.parent))].filter((one): one is number => one !== null).sort((a, b) => a - b);
}

export function fold(scene: Scene, placement: Placement, folded: ReadonlySet<number>): Shown {
  const groups = new Set(groupsOf(scene));
  const standsFor = scene.nodes.map((_, index) => outermost(scene, index, folded));
  const hides = new Map<number, number>();
  standsFor.forEach((shown, index) => shown !== index && hides.set(shown, (hides.get(shown) ?? 0) + 1));
  const nodes: ShownNode[] = [];
  scene.nodes.forEach((node, index) => {
    if (standsFor[index] !== index) return;
    const [x = 0, y = 0, width = 64, height = 34] = placement.nodes[index] ?? [];
    const kind = !groups.has(index) ? "leaf" : folded.has(index) ? "folded" : "group";
    const size = kind === "folded" ? foldedSize(`${node.label} (${hides.get(index) ?? 0})`) : [width, height];
    nodes.push({ index, x, y, width: size[0] ?? width, height: size[1] ?? height, kind, parent: node.parent, hides: hides.get(index) ?? 0 });
  });
  const edges = liftEdges(scene, placement, standsFor);
  const shown = { nodes, edges, width: placement.width, height: placement.height };
  return nodes.some((node) => node.kind === "folded") ? contract(shown) : shown;
}

/** The outermost folded group that `index` lies in, or itself. */
function outermost(scene: Scene, index: number, folded: ReadonlySet<number>): number {
  let found = index;
  const seen = new Set<number>();
  for (let at = scene.nodes[index]?.parent ?? null; at !== null && !seen.has(at); at = scene.nodes[at]?.parent ?? null) {
    seen.add(at);
    if (folded.has(at)) found = at;
  }
  return found;
}

function foldedSize(label: string): [number, number] {
  return [Math.min(Math.max(label.length * CHAR_WIDTH + LABEL_MARGIN, MIN_WIDTH), MAX_WIDTH), HEIGHT];
}

function liftEdges(scene: Scene, placement: Placement, standsFor: readonly number[]): ShownEdge[] {
  const edges = new Map<number, ShownEdge>();
  scene.edges.forEach((edge, index) => {
    const [source = edge.source, target = edge.target] = [standsFor[edge.source], standsFor[edge.target]];
    const isLifted = source !== edge.source || target !== edge.target;
    if (isLifted && source === target) return;
    const key = source * scene.nodes.length + target;
    const known = edges.get(key);
    if (known) known.members.push(index);
    else edges.set(key, { members: [index], source, target, bends: isLifted ? [] : [...(placement.edges[index] ?? [])] });
  });
  return [...edges.values()];
}

/** Cut the stretches, of either axis, in which nothing stands any more. Nothing changes its order or comes to overlap. */
function contract(shown: Shown): Shown {
  const [mapX, mapY] = [axisMap(shown.nodes, "x"), axisMap(shown.nodes, "y")];
  const far = (values: number[]) => values.reduce((a, b) => Math.max(a, b), 1);
  const nodes = shown.nodes.map((node) => {
    if (node.kind !== "group") return { ...node, x: mapX(node.x), y: mapY(node.y) };
    const [left, right] = [mapX(node.x - node.width / 2), mapX(node.x + node.width / 2)];
    const [top, bottom] = [mapY(node.y - node.height / 2), mapY(node.y + node.height / 2)];
    return { ...node, x: (left + right) / 2, y: (top + bottom) / 2, width: right - left, height: bottom - top };
  });
  const edges = shown.edges.map((edge) => ({ ...edge, bends: edge.bends.map((value, i) => (i % 2 ? mapY : mapX)(value)) }));
  return {
    nodes,
    edges,
    width: far(nodes.map((node) => node.x + node.width / 2)),
    height: far(nodes.map((node) => node.y + node.height / 2)),
  };
}

function axisMap(nodes: readonly ShownNode[], axis: "x" | "y"): (value: number) => number {
  const spans: Array<[number, number]> = [];
  for (const node of nodes) {
    const [at, size] = axis === "x" ? [node.x, node.width] : [node.y, node.height];
    const [low, high] = [at - size / 2, at + size / 2];
    if (node.kind !== "group") spans.push([low, high]);
    // Of an open group only the border must stay.
    else spans.push([low, low + (axis === "y" ? TITLE : BORDER)], [high - BORDER, high]);
  }
  spans.sort((a, b) => a[0] - b[0]);
  // From these places on, so much has been cut.
  const [places, cut] = [[-Infinity], [0]];
  let [reach, total] = [Math.min(spans[0]?.[0] ?? 0, 0), 0];
  for (const [low, high] of spans) {
    if (low - reach > GAP) {
      places.push(reach, low);
      cut.push(total, (total += low - reach - GAP));
    }
    reach = Math.max(reach, high);
  }
  return (value) => {
    let at = places.length - 1;
    while (at > 0 && value < (places[at] ?? 0)) at--;
    const [from, by] = [places[at] ?? 0, cut[at] ?? 0];
    const [to, then] = [places[at + 1] ?? from, cut[at + 1] ?? by];
    // Inside a stretch that is cut it shrinks evenly.
    return value - (then > by ? by + ((value - from) / (to - from)) * (then - by) : by);
  };
}
