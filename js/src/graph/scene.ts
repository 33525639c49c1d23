// What a graph shows, whatever it is of: one run, two runs, or many. Pure.

import type { Layout } from "../protocol.gen";

export interface SceneNode {
  label: string;
  /** Index of the node that it lies in. */
  parent: number | null;
  classes: readonly string[];
  /** Of a step; "none" where it has not run. */
  status: string;
  /** On its upper right corner; a few characters of ours. */
  badge: string;
  /** On its lower right corner: the value of what it is coloured or sized by. */
  note: string;
  /** 0 … 1, or −1 … 1 for a difference; null: coloured by what it is. */
  heat: number | null;
  /** 0 … 1; null: as large as all. */
  size: number | null;
  /** In words, for the pointer and for screen readers; the first line is its name. */
  text: string;
}

export interface SceneEdge {
  source: number;
  target: number;
  label: string;
  classes: readonly string[];
  /** Width in px. */
  weight: number;
  /** As of a node. */
  heat: number | null;
  text: string;
}

export interface LegendItem {
  /** A class of the style sheet, or null for words alone. */
  sign: string | null;
  text: string;
}

export interface Scene {
  /** The same for the same nodes, edges and layout. */
  key: string;
  title: string;
  nodes: SceneNode[];
  edges: SceneEdge[];
  layout: Layout;
  legend: LegendItem[];
}

/** From so many nodes on they are drawn plain: without signs and bends, which nobody could make out. */
export const MANY_NODES = 300;

/** Width of an edge that was taken so often. */
export function weightOf(taken: number): number {
  return Math.min(1.6 + Math.log2(Math.max(taken, 1)) * 0.7, 4.5);
}

export function clip(text: string, most = 18): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
