// The marks of one row: each with its sign, or, where they stand too close, how many of what a pixel holds.

import { lowerBound } from "../columns";
import type { Mark } from "../protocol.gen";
import { kindLook } from "../status";
import type { Theme } from "../theme";
import { colorOf, LANE, pathOf, type Picture } from "./draw";
import { MARK_CLASSES, type Rows } from "./rows";

/** Pixels that a sign needs for itself. */
const ROOM = 7;
/** Width of a column in which marks are counted together. */
const STEP = 2;

export function drawMarks(context: CanvasRenderingContext2D, picture: Picture, at: number, top: number): void {
  const { rows, columns, window } = picture;
  const [a, b] = rows.marksIn(at, columns[0] ?? 0, columns.at(-1) ?? 0);
  const extent = b > a ? window.x(rows.markAt[b - 1] ?? 0) - window.x(rows.markAt[a] ?? 0) : 0;
  if (b - a > 3 && (b - a) * ROOM > extent + ROOM) return drawCrowd(context, picture, a, b, top);
  const track = rows.rows[at]?.track ?? 0;
  // Calls reach in from before the left edge, too.
  const first = Math.max(rows.markStart[at] ?? 0, a - 3);
  const marks = [];
  for (let i = first; i < b; i++) {
    const mark = markAt(rows, track, rows.mark[i] ?? 0);
    if (mark) marks.push(mark);
  }
  // Stretches first: a long call must not cover the points inside it.
  for (const mark of marks) drawStretch(context, picture, mark, top);
  for (const mark of marks) drawMark(context, picture, mark, top);
}

/** The mark with this index among all of a track; its `event` counts within its step. */
export function markAt(rows: Rows, track: number, index: number): Mark | null {
  const marks = rows.tracks[track]?.run.marks;
  if (!marks) return null;
  return marks.at(index, marks.start[rows.laneOfMark(track, index)] ?? 0);
}

export interface Bin {
  /** Index into MARK_CLASSES: failures before all, otherwise what there is most of. */
  kind: number;
  n: number;
  /** Pixels from the left. */
  x: number;
}

/** Marks `a`…`b` counted by columns of some pixels. Costs columns, not marks. */
export function binsOf(rows: Pick<Rows, "markAt" | "classes">, columns: Float64Array, a: number, b: number): Bin[] {
  const bins: Bin[] = [];
  let low = a;
  for (let x = 0; x + STEP < columns.length + STEP - 1; x += STEP) {
    const to = columns[Math.min(x + STEP, columns.length - 1)] ?? 0;
    low = lowerBound(rows.markAt, columns[x] ?? 0, low, b);
    const high = lowerBound(rows.markAt, to, low, b);
    if (high <= low) continue;
    const counts = rows.classes.map((sums) => (sums[high] ?? 0) - (sums[low] ?? 0));
    const kind = counts[0] ? 0 : counts.indexOf(Math.max(...counts));
    bins.push({ kind, n: high - low, x });
  }
  return bins;
}

function drawCrowd(context: CanvasRenderingContext2D, { rows, theme, gutter, columns }: Picture, a: number, b: number, top: number): void {
  const bins = binsOf(rows, columns, a, b);
  for (const [kind, name] of MARK_CLASSES.entries()) {
    context.fillStyle = colorOf(theme, kindLook(name === "failed" ? "error" : name === "other" ? "log" : name).color);
    for (const bin of bins) {
      if (bin.kind !== kind) continue;
      const tall = kind === 0 ? LANE - 2 : Math.min(4 + Math.log2(bin.n + 1) * 1.5, LANE - 6);
      context.fillRect(gutter + bin.x, top + (LANE - tall) / 2, STEP - 0.5, tall);
    }
  }
}

/** How long a call took; the part before its first token is thin. */
function drawStretch(context: CanvasRenderingContext2D, { theme, window, gutter, width }: Picture, mark: Mark, top: number): void {
  if (!mark.duration_ms) return;
  const at = (ms: number) => Math.min(Math.max(gutter + window.x(ms), gutter - 20), width + 20);
  const [from, to] = [at(mark.offset_ms), at(mark.offset_ms + mark.duration_ms)];
  if (to - from < 2) return;
  const before = context.globalAlpha;
  context.fillStyle = colorOf(theme, mark.failed ? "--ftnb-failed" : kindLook(mark.kind).color);
  context.globalAlpha = before * (mark.discarded ? 0.25 : 0.65);
  const middle = top + LANE / 2;
  if (mark.ttft_ms !== null && mark.ttft_ms < mark.duration_ms) {
    const first = at(mark.offset_ms + mark.ttft_ms);
    context.fillRect(from, middle - 0.5, first - from, 1);
    context.fillRect(first, middle - 1.5, to - first, 3);
    context.fillRect(first - 0.75, middle - 4.5, 1.5, 9);
  } else context.fillRect(from, middle - 1.5, to - from, 3);
  context.globalAlpha = before;
}

function drawMark(context: CanvasRenderingContext2D, { theme, window, gutter }: Picture, mark: Mark, top: number): void {
  const look = kindLook(mark.failed ? "error" : mark.kind);
  const path = pathOf(look.path);
  context.save();
  context.translate(gutter + window.x(mark.offset_ms) - 6, top + LANE / 2 - 6);
  context.scale(0.75, 0.75);
  if (mark.discarded) context.globalAlpha *= 0.45;
  if (mark.kind !== "log" && !mark.failed) {
    context.fillStyle = theme.color.bg;
    context.fill(path);
  }
  if (mark.failed) halo(context, theme, path);
  context.lineWidth = mark.failed ? 3.2 : 2.2;
  context.strokeStyle = colorOf(theme, look.color);
  context.stroke(path);
  context.restore();
}

/** A failure lies on bars of its own colour. */
function halo(context: CanvasRenderingContext2D, theme: Theme, path: Path2D): void {
  context.lineWidth = 6;
  context.strokeStyle = theme.color.bg;
  context.stroke(path);
}
