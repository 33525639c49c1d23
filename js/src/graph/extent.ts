// How far a graph reaches, and the zoom and pan at which all of it is seen. Pure.

import type { Shown } from "./fold";

/** Px left free around a graph. */
export const MARGIN = 16;
const [MOST_ZOOM, LEAST_ZOOM] = [1.05, 0.005];
/** What a badge, and a way from a node to itself, stick out. */
const [BADGE, LOOP] = [6, 26];

export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

export interface Viewport {
  zoom: number;
  pan: { x: number; y: number };
}

export function extentOf(shown: Shown): Box {
  const box: Box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
  const take = (x: number, y: number, w = 0, tall = 0) => {
    box.left = Math.min(box.left, x - w);
    box.right = Math.max(box.right, x + w);
    box.top = Math.min(box.top, y - tall);
    box.bottom = Math.max(box.bottom, y + tall);
  };
  const places = new Map(shown.nodes.map((node) => [node.index, node]));
  for (const node of shown.nodes) take(node.x, node.y, node.width / 2 + (node.kind === "leaf" ? BADGE : 0), node.height / 2 + BADGE);
  for (const { source, target, bends } of shown.edges) {
    const [from, to] = [places.get(source), places.get(target)];
    if (!from || !to) continue;
    if (source === target) take(from.x - from.width / 2, from.y - from.height / 2 - LOOP);
    // A curve stays within the middles between its control points.
    const points = [from.x, from.y, ...bends, to.x, to.y];
    for (let i = 0; i + 3 < points.length && bends.length; i += 2) {
      take(((points[i] ?? 0) + (points[i + 2] ?? 0)) / 2, ((points[i + 1] ?? 0) + (points[i + 3] ?? 0)) / 2);
    }
  }
  return shown.nodes.length ? box : { left: 0, top: 0, right: 1, bottom: 1 };
}

/** All of `box` in the middle of a place of this size, not larger than life. */
export function fitted({ left, top, right, bottom }: Box, width: number, height: number): Viewport {
  const across = (width - 2 * MARGIN) / Math.max(right - left, 1);
  const down = (height - 2 * MARGIN) / Math.max(bottom - top, 1);
  const zoom = Math.max(Math.min(across, down, MOST_ZOOM), LEAST_ZOOM);
  return { zoom, pan: { x: (width - (left + right) * zoom) / 2, y: (height - (top + bottom) * zoom) / 2 } };
}
