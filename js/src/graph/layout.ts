// Which of the two layouts fits, and bends as Cytoscape wants them. Pure; positions come with the payload.

import type { Layout } from "../protocol.gen";

/** Control points of a curve, relative to the straight line between the centres of its ends. */
export interface Bends {
  distances: number[];
  weights: number[];
}

export interface Point {
  x: number;
  y: number;
}

/** The layout that can be drawn larger in a box of this size. */
export function chooseLayout(layout: Layout, width: number, height: number): "across" | "down" {
  const zoom = (size: { width: number; height: number }) =>
    Math.min(width / Math.max(size.width, 1), height / Math.max(size.height, 1), 1.05);
  return zoom(layout.across) >= zoom(layout.down) ? "across" : "down";
}

/** The bends (x, y …) of an edge from `source` to `target`; null for a straight one. */
export function bendsOf(points: readonly number[], source: Point | undefined, target: Point | undefined): Bends | null {
  if (!source || !target) return null;
  const [dx, dy] = [target.x - source.x, target.y - source.y];
  const length = Math.hypot(dx, dy);
  if (points.length < 2 || length < 1) return null;
  const bends: Bends = { distances: [], weights: [] };
  for (let i = 0; i + 1 < points.length; i += 2) {
    const [px, py] = [(points[i] ?? 0) - source.x, (points[i + 1] ?? 0) - source.y];
    bends.weights.push((px * dx + py * dy) / (length * length));
    // Cytoscape's normal points to the right of the direction of travel, on a screen with y downwards.
    bends.distances.push((py * dx - px * dy) / length);
  }
  return bends;
}
