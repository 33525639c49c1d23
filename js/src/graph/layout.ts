// Which of the two layouts fits, and bends as Cytoscape wants them. Pure; positions come with the payload.

import type { Layout, Placement } from "../protocol.gen";

/** Control points of a curve, relative to the straight line between the centres of its ends. */
export interface Bends {
  distances: number[];
  weights: number[];
}

/** The layout that can be drawn larger in a box of this size. */
export function chooseLayout(layout: Layout, width: number, height: number): "across" | "down" {
  const zoom = (placement: Placement) =>
    Math.min(width / Math.max(placement.width, 1), height / Math.max(placement.height, 1), 1.05);
  return zoom(layout.across) >= zoom(layout.down) ? "across" : "down";
}

/** The bends of one edge; null for a straight one. */
export function bendsOf(placement: Placement, source: number, target: number, edge: number): Bends | null {
  const points = placement.edges[edge] ?? [];
  const [x0 = 0, y0 = 0] = placement.nodes[source] ?? [];
  const [x1 = 0, y1 = 0] = placement.nodes[target] ?? [];
  const [dx, dy] = [x1 - x0, y1 - y0];
  const length = Math.hypot(dx, dy);
  if (points.length < 2 || length < 1) return null;
  const bends: Bends = { distances: [], weights: [] };
  for (let i = 0; i + 1 < points.length; i += 2) {
    const [px, py] = [(points[i] ?? 0) - x0, (points[i + 1] ?? 0) - y0];
    bends.weights.push((px * dx + py * dy) / (length * length));
    // Cytoscape's normal points to the right of the direction of travel, on a screen with y downwards.
    bends.distances.push((py * dx - px * dy) / length);
  }
  return bends;
}
