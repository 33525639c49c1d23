// A scene as Cytoscape elements. Pure. Ids are ours (n0, e0 …): names are the user's text and may be anything.

import type { ElementDefinition } from "cytoscape";
import type { Placement } from "../protocol.gen";
import { fold, type Shown, type ShownEdge, type ShownNode } from "./fold";
import { type Bends, bendsOf } from "./layout";
import { MANY_NODES, type Scene, weightOf } from "./scene";

export const nodeId = (index: number): string => `n${index}`;
/** By the first edge of the scene that it stands for. */
export const edgeId = (index: number): string => `e${index}`;
/** The index inside an id of ours. */
export const indexOf = (id: string): number => Number(id.slice(1));

// As the layout reckons (ftnb/widget/layout.py): a label of average letters fits its node, unless it is too long for any.
const CHAR_WIDTH = 7.2;
const ICON_ROOM = 32;
/** Of more edges no label could be told to which it belongs. */
const MANY_LABELS = 80;
/** Heights of a node that is sized by a value. */
const [LEAST, MOST] = [24, 56];

export interface NodeData {
  id: string;
  parent?: string;
  label: string;
  width: number;
  height: number;
  /** Width left for the label; a longer one is cut, with an ellipsis. */
  room: number;
  status: string;
  badge: string;
  note: string;
  /** −1 … 1; 0 also where there is none: see the class "heat". */
  heat: number;
}

export interface EdgeData extends Partial<Bends> {
  id: string;
  source: string;
  target: string;
  label: string;
  weight: number;
  heat: number;
}

/** All elements of a scene with these subgraphs folded, at the positions of `placement`. */
export function toElements(scene: Scene, placement: Placement, folded: ReadonlySet<number> = new Set()): ElementDefinition[] {
  return elementsOf(scene, fold(scene, placement, folded));
}

export function elementsOf(scene: Scene, shown: Shown): ElementDefinition[] {
  const isMany = shown.nodes.length > MANY_NODES;
  const places = new Map(shown.nodes.map((node) => [node.index, node]));
  return [
    ...shown.nodes.map((node) => nodeElement(scene, node, isMany)),
    ...shown.edges.map((edge) => edgeElement(scene, edge, places, isMany)),
  ];
}

function nodeElement(scene: Scene, shown: ShownNode, isMany: boolean): ElementDefinition {
  const node = scene.nodes[shown.index];
  if (!node) throw new RangeError(`no node ${shown.index}`);
  const isGroup = shown.kind === "group";
  const label = isGroup ? [node.label, node.badge].filter(Boolean).join(" ") : shown.hides ? `${node.label} (${shown.hides})` : node.label;
  const isFolded = shown.kind === "folded";
  // A sign for the status stands before the label.
  const isSigned = node.heat === null && !node.classes.includes("side");
  const room = isFolded ? shown.width - 52 : !isSigned ? shown.width - 10 : isGroup || isMany || label.length * CHAR_WIDTH <= shown.width - ICON_ROOM ? shown.width : shown.width - ICON_ROOM;
  const data: NodeData = {
    id: nodeId(shown.index),
    label,
    width: shown.width,
    height: node.size === null ? shown.height : LEAST + Math.sqrt(node.size) * (MOST - LEAST),
    room,
    status: node.status,
    badge: isGroup ? "" : node.badge,
    note: node.note,
    heat: node.heat ?? 0,
  };
  if (shown.parent !== null) data.parent = nodeId(shown.parent);
  const classes = [
    ...node.classes,
    isGroup ? "group" : "leaf",
    isFolded && "folded",
    node.heat !== null && "heat",
    node.badge && !isGroup && "repeated",
    isMany ? "plain" : "rich",
  ];
  return { group: "nodes", data, position: { x: shown.x, y: shown.y }, classes: classes.filter(Boolean).join(" ") };
}

function edgeElement(scene: Scene, shown: ShownEdge, places: ReadonlyMap<number, ShownNode>, isMany: boolean): ElementDefinition {
  const members = shown.members.map((index) => scene.edges[index]).filter((edge) => edge !== undefined);
  const [first] = members;
  const [source, target] = [places.get(shown.source), places.get(shown.target)];
  const bends = isMany ? null : bendsOf(shown.bends, source, target);
  const classes = new Set(members.flatMap((edge) => edge.classes));
  // Several ways as one: taken if any was, and to be wondered at only if all are.
  if (classes.has("taken")) classes.delete("untaken");
  if (!members.every((edge) => edge.classes.includes("undeclared"))) classes.delete("undeclared");
  const data: EdgeData = {
    id: edgeId(shown.members[0] ?? 0),
    source: nodeId(shown.source),
    target: nodeId(shown.target),
    label: members.length === 1 && scene.edges.length <= MANY_LABELS ? (first?.label ?? "") : "",
    weight: members.length === 1 ? (first?.weight ?? 1) : Math.max(...members.map((edge) => edge.weight), weightOf(1)),
    heat: first?.heat ?? 0,
    ...bends,
  };
  if (bends) classes.add("bent");
  if (first?.heat !== null && first?.heat !== undefined) classes.add("heat");
  if (shown.source === shown.target) classes.add("loop");
  classes.add(isMany ? "plain" : "rich");
  const side = !bends && !isMany && beside(source, target);
  if (side) classes.add(side);
  return { group: "edges", data, classes: [...classes].join(" ") };
}

/** On a straight edge a label would hide all of it: it goes below a level one (above are the badges), and to the right of an upright one. */
function beside(source: ShownNode | undefined, target: ShownNode | undefined): "level" | "upright" | false {
  const dx = Math.abs((source?.x ?? 0) - (target?.x ?? 0));
  const dy = Math.abs((source?.y ?? 0) - (target?.y ?? 0));
  return dy < 4 && dx > 4 ? "level" : dx < 4 && dy > 4 ? "upright" : false;
}
