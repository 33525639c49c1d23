// The payload's graph as Cytoscape elements. Pure. Ids are ours (n0, e0 …): names are the user's text and may be anything.

import type { ElementDefinition } from "cytoscape";
import type { EngagementPayload, Placement } from "../protocol.gen";
import { type Bends, bendsOf } from "./layout";

export const nodeId = (index: number): string => `n${index}`;
export const edgeId = (index: number): string => `e${index}`;
/** The index inside an id of ours. */
export const indexOf = (id: string): number => Number(id.slice(1));

// As the layout reckons (ftnb/widget/layout.py): a label of average letters fits its node, unless it is too long for any.
const CHAR_WIDTH = 7.2;
const ICON_ROOM = 32;

export interface NodeData {
  id: string;
  parent?: string;
  label: string;
  width: number;
  height: number;
  /** Width left for the label; a longer one is cut, with an ellipsis. */
  room: number;
  status: string;
  /** Visits; at most a few digits. */
  times: number;
}

export interface EdgeData extends Partial<Bends> {
  id: string;
  source: string;
  target: string;
  label: string;
  weight: number;
}

/** All elements, at the positions of `placement`. */
export function toElements(payload: EngagementPayload, placement: Placement): ElementDefinition[] {
  const isParent = new Set(payload.nodes.map((node) => node.parent));
  const nodes = payload.nodes.map((node, index): ElementDefinition => {
    const [x = 0, y = 0, width = 64, height = 34] = placement.nodes[index] ?? [];
    const group = isParent.has(index);
    const label = group && node.n_visits > 1 ? `${node.label} ×${node.n_visits}` : node.label;
    const room = group || label.length * CHAR_WIDTH <= width - ICON_ROOM ? width : width - ICON_ROOM;
    const data: NodeData = { id: nodeId(index), label, width, height, room, status: node.status ?? "none", times: node.n_visits };
    if (node.parent !== null) data.parent = nodeId(node.parent);
    const classes = [
      node.kind,
      group ? "group" : "leaf",
      node.n_visits > 1 && "repeated",
      node.n_steps ? "visited" : "unvisited",
      node.is_global && "global",
      node.is_goal && "goal",
      !node.declared && "undeclared",
      node.n_failing > 0 && "failing",
    ];
    return { group: "nodes", data, position: { x, y }, classes: classes.filter(Boolean).join(" ") };
  });
  const edges = payload.edges.map((edge, index): ElementDefinition => {
    const condition = edge.condition !== null && edge.condition !== payload.nodes[edge.target]?.name ? edge.condition : "";
    const bends = bendsOf(placement, edge.source, edge.target, index);
    const data: EdgeData = {
      id: edgeId(index),
      source: nodeId(edge.source),
      target: nodeId(edge.target),
      // The badge of the target says it already, where all its visits came this way.
      label: [edge.taken > 1 && edge.taken !== payload.nodes[edge.target]?.n_visits ? `×${edge.taken}` : "", clip(condition)].filter(Boolean).join(" "),
      weight: Math.min(1.6 + Math.log2(Math.max(edge.taken, 1)) * 0.7, 4.5),
      ...bends,
    };
    const classes = [
      edge.taken ? "taken" : "untaken",
      !edge.declared && "undeclared",
      bends && "bent",
      edge.source === edge.target && "loop",
      !bends && beside(placement.nodes[edge.source], placement.nodes[edge.target]),
    ];
    return { group: "edges", data, classes: classes.filter(Boolean).join(" ") };
  });
  return [...nodes, ...edges];
}

/** On a straight edge a label would hide all of it: it goes below a level one (above are the badges), and to the right of an upright one. */
function beside(source: number[] = [], target: number[] = []): "level" | "upright" | false {
  const dx = Math.abs((source[0] ?? 0) - (target[0] ?? 0));
  const dy = Math.abs((source[1] ?? 0) - (target[1] ?? 0));
  return dy < 4 && dx > 4 ? "level" : dx < 4 && dy > 4 ? "upright" : false;
}

function clip(text: string): string {
  return text.length > 18 ? `${text.slice(0, 17)}…` : text;
}
