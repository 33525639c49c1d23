// The bars of one row: each step by itself, or, where there are more of them than pixels, what each pixel holds.

import { lowerBound } from "../columns";
import { duration } from "../format";
import { statusLook } from "../status";
import { mix } from "../theme";
import { colorOf, fit, LANE, type Picture, sideColor } from "./draw";
import type { Rows } from "./rows";

/** Bars a pixel, from which on they are drawn by the pixel. */
const CROWDED = 0.25;

export function drawBars(context: CanvasRenderingContext2D, picture: Picture, at: number, top: number): void {
  const { rows, columns, window } = picture;
  const [a, b] = rows.barsIn(at, columns[0] ?? 0, columns.at(-1) ?? 0);
  const isCrowded = b - a > window.width * CROWDED;
  if (isCrowded) drawCrowd(context, picture, at, top, a, b);
  const chosen = picture.selected[rows.rows[at]?.track ?? 0];
  for (let i = a; i < b; i++) {
    if (!isCrowded) drawBar(context, picture, at, i, top, i + 1 < b ? (rows.from[i + 1] ?? null) : null);
    else if (!chosen?.size) break;
    if (rows.grouping !== "step" && chosen?.has(rows.step[i] ?? -1)) ring(context, picture, i, top);
  }
}

export interface Cell {
  /** Pixels. */
  from: number;
  to: number;
  failing: boolean;
  /** The first bar in it. */
  bar: number;
}

/** What stands in the pixel columns: neighbouring ones that look alike are one cell. Costs columns, not bars. */
export function cellsOf(rows: Pick<Rows, "from" | "to" | "failing">, columns: Float64Array, a: number, b: number): Cell[] {
  const cells: Cell[] = [];
  let low = a;
  for (let x = 0; x + 1 < columns.length; x++) {
    const [from, to] = [columns[x] ?? 0, columns[x + 1] ?? 0];
    low = lowerBound(rows.to, from, low, b);
    const high = lowerBound(rows.from, to, low, b);
    if (high <= low) continue;
    const failing = (rows.failing[high] ?? 0) > (rows.failing[low] ?? 0);
    const last = cells.at(-1);
    if (last && last.to === x && last.failing === failing) last.to = x + 1;
    else cells.push({ from: x, to: x + 1, failing, bar: low });
  }
  return cells;
}

function drawCrowd(context: CanvasRenderingContext2D, picture: Picture, at: number, top: number, a: number, b: number): void {
  const { rows, theme, gutter, columns } = picture;
  const track = rows.rows[at]?.track ?? 0;
  const [y, tall] = [top + 2.5, LANE - 5];
  if (picture.marked) context.globalAlpha = 0.35;
  for (const cell of cellsOf(rows, columns, a, b)) {
    const status = rows.tracks[track]?.run.step(rows.step[cell.bar] ?? 0).status ?? "completed";
    const own = rows.tracks.length > 1 ? sideColor(theme, track) : colorOf(theme, statusLook(status).color);
    context.fillStyle = cell.failing ? theme.color.failed : mix(own, theme.color.bg, theme.dark ? 0.5 : 0.42);
    context.fillRect(gutter + cell.from, y, cell.to - cell.from, tall);
  }
  context.globalAlpha = 1;
}

/** Failures of a crowded row, over its marks: they must not vanish among thousands. */
export function drawFailures(context: CanvasRenderingContext2D, { rows, columns, window, theme, gutter }: Picture, at: number, top: number): void {
  const [a, b] = rows.barsIn(at, columns[0] ?? 0, columns.at(-1) ?? 0);
  if (b - a <= window.width * CROWDED || rows.failing[b] === rows.failing[a]) return;
  context.fillStyle = theme.color.failed;
  for (const cell of cellsOf(rows, columns, a, b)) {
    if (!cell.failing) continue;
    const x = gutter + cell.from;
    context.fillRect(x - 0.5, top + 1, Math.max(cell.to - cell.from, 2), LANE - 2);
    context.beginPath();
    context.moveTo(x - 3, top);
    context.lineTo(x + 4, top);
    context.lineTo(x + 0.5, top + 6);
    context.fill();
  }
}

function drawBar(
  context: CanvasRenderingContext2D, picture: Picture, at: number, bar: number, top: number, next: number | null,
): void {
  const { rows, theme, window, gutter, width } = picture;
  const row = rows.rows[at];
  const run = rows.tracks[row?.track ?? 0]?.run;
  const index = rows.step[bar] ?? 0;
  const step = run?.step(index);
  if (!run || !step || !row) return;
  const isOpen = run.lane(index)?.open ?? false;
  const color = rows.tracks.length > 1 && !step.failing ? sideColor(theme, row.track) : colorOf(theme, statusLook(step.status).color);
  const from = gutter + window.x(rows.from[bar] ?? 0);
  const to = Math.max(gutter + window.x(rows.to[bar] ?? 0), from + 3);
  const [y, tall] = [top + 2.5, LANE - 5];
  const before = context.globalAlpha;
  if (row.step === null && picture.marked && !picture.marked.has(index)) context.globalAlpha = 0.22;
  // A bar zoomed far beyond the canvas needs drawing only where it can be seen.
  const [left, right] = [Math.max(from, gutter - 20), Math.min(to, width + 20)];
  context.beginPath();
  context.roundRect(left, y, right - left, tall, Math.min(3, (right - left) / 2));
  context.fillStyle = mix(color, theme.color.bg, theme.dark ? 0.45 : 0.32);
  context.fill();
  if (step.status !== "completed" && right - left > 8) hatch(context, left, y, right - left, tall, color, step.status);
  context.lineWidth = step.status === "failed" ? 2 : 1.2;
  context.setLineDash(isOpen || step.status === "waiting" ? [4, 3] : []);
  context.strokeStyle = color;
  context.stroke();
  context.setLineDash([]);
  context.lineWidth = 1;
  if (step.is_global) {
    context.fillStyle = theme.color.switch;
    context.fillRect(from, y, 3, tall);
  }
  if (row.step !== null) drawTook(context, picture, isOpen ? "running" : duration(step.duration_ms), to, next, top);
  else drawTitle(context, picture, at, rows.grouping === "node" ? `#${step.visit}` : run.title(index), from, to, top);
  context.globalAlpha = before;
}

/** How long a step took, behind its bar. */
function drawTook(context: CanvasRenderingContext2D, { theme, gutter, width, window }: Picture, took: string, to: number, next: number | null, top: number): void {
  context.font = `10.5px ${theme.font}`;
  const end = next === null ? width : gutter + window.x(next);
  if (to < gutter || to + 6 + context.measureText(took).width > end) return;
  context.textAlign = "left";
  context.fillStyle = theme.color.soft;
  context.fillText(took, to + 5, top + LANE / 2 + 0.5);
}

/** Which step of the group it is, where no mark is in the way. */
function drawTitle(
  context: CanvasRenderingContext2D, { rows, theme, gutter, width, window }: Picture, at: number, title: string, from: number, to: number, top: number,
): void {
  const left = Math.max(from, gutter);
  const room = Math.min(to, width) - left - 8;
  if (room < 22) return;
  const [a, b] = rows.marksIn(at, window.ms(from - gutter - 4), window.ms(left - gutter + room));
  if (b > a) return;
  context.font = `10.5px ${theme.font}`;
  const text = fit(context, title, room);
  if (text.length <= 2 && text !== title) return;
  context.textAlign = "left";
  context.fillStyle = theme.color.fg;
  context.fillText(text, left + 4, top + LANE / 2 + 0.5);
}

/** A selected step in a row of several. */
function ring(context: CanvasRenderingContext2D, { rows, theme, window, gutter, width }: Picture, bar: number, top: number): void {
  const from = Math.max(gutter + window.x(rows.from[bar] ?? 0), gutter - 20);
  const to = Math.min(Math.max(gutter + window.x(rows.to[bar] ?? 0), from + 4), width + 20);
  context.strokeStyle = theme.color.selected;
  context.lineWidth = 2.5;
  context.strokeRect(from - 1, top + 1.5, to - from + 2, LANE - 3);
  context.lineWidth = 1;
}

/** A pattern for whoever cannot tell the colours: leaning lines, the other way round for failures. */
function hatch(
  context: CanvasRenderingContext2D, x: number, y: number, width: number, tall: number, color: string, status: string,
): void {
  context.save();
  context.beginPath();
  context.roundRect(x, y, width, tall, 3);
  context.clip();
  context.beginPath();
  const lean = status === "failed" ? -tall : tall;
  const gap = status === "failed" ? 5 : 8;
  const right = x + width + tall;
  for (let at = x - tall; at < right; at += gap) {
    context.moveTo(at, y + (lean > 0 ? tall : 0));
    context.lineTo(at + tall, y + (lean > 0 ? 0 : tall));
  }
  context.globalAlpha *= 0.4;
  context.strokeStyle = color;
  context.stroke();
  context.restore();
  // The outline of the bar is drawn next, and is the current path.
  context.beginPath();
  context.roundRect(x, y, width, tall, 3);
}
