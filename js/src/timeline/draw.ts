// Painting the timeline. Knows no DOM but the canvas context that it is given.

import { duration, plural, tick } from "../format";
import { kindLook, statusLook } from "../status";
import { type ColorName, mix, type Theme } from "../theme";
import { drawBars, drawFailures } from "./bars";
import { drawMarks } from "./marks";
import type { Rows, Track } from "./rows";
import type { Window } from "./scale";

/** Heights in px. */
export const AXIS = 24;
export const LANE = 18;

/** A stretch in which nothing ran. */
export interface Stretch {
  from: number;
  to: number;
  /** A human was waited for. */
  human: boolean;
  /** It is drawn short. */
  short: boolean;
}

export interface Picture {
  rows: Rows;
  theme: Theme;
  window: Window;
  /** Times of the pixel columns, from `window.columns()`. */
  columns: Float64Array;
  stretches: readonly Stretch[];
  width: number;
  height: number;
  /** Width of the names on the left, in px. */
  gutter: number;
  scrollTop: number;
  /** By track. */
  selected: ReadonlyArray<ReadonlySet<number>>;
  /** The step shown in the inspector, of the first track. */
  primary: number | null;
  hovered: { track: number; step: number } | null;
  /** Steps that stand out; null: all. */
  marked: ReadonlySet<number> | null;
  /** What is later is not yet known to the reader; null: all is. */
  cursor: number | null;
  /** Pixels between which the user is drawing a range. */
  brush: readonly [number, number] | null;
}

export function drawTimeline(context: CanvasRenderingContext2D, picture: Picture): void {
  const { width, height, theme, rows, scrollTop, gutter } = picture;
  context.clearRect(0, 0, width, height);
  context.textBaseline = "middle";
  drawGrid(context, picture);
  const first = Math.max(Math.floor(scrollTop / LANE), 0);
  const last = Math.min(Math.ceil((scrollTop + height - AXIS) / LANE), rows.length);
  context.save();
  context.beginPath();
  context.rect(0, AXIS, width, height - AXIS);
  context.clip();
  for (let at = first; at < last; at++) drawRow(context, picture, at, AXIS + at * LANE - scrollTop);
  drawLinks(context, picture);
  drawSeparators(context, picture, first, last);
  context.restore();
  drawSwitches(context, picture);
  drawCursor(context, picture);
  drawBrush(context, picture);
  if (!rows.length) {
    context.fillStyle = theme.color.soft;
    context.font = `13px ${theme.font}`;
    context.textAlign = "left";
    context.fillText("No step has been recorded yet.", gutter, AXIS + 30);
  }
}

function drawGrid(context: CanvasRenderingContext2D, picture: Picture): void {
  const { theme, window, width, height, gutter, rows } = picture;
  if (!rows.length) return;
  const taken: Array<[number, number]> = switchesOf(picture).map(({ ms }) => {
    const x = gutter + window.x(ms);
    return [x - 9, x + 9];
  });
  for (const stretch of picture.stretches) drawStretch(context, picture, stretch, taken);
  context.font = `11px ${theme.font}`;
  for (const { at, ms, step, later } of window.ticks(86)) {
    const x = Math.round(gutter + at) + 0.5;
    context.strokeStyle = mix(theme.color.line, theme.color.bg, 0.7);
    context.beginPath();
    context.moveTo(x, AXIS - 4);
    context.lineTo(x, height);
    context.stroke();
    const text = later && ms ? `+${tick(ms, step)}` : tick(ms, step);
    const right = x + 3 + context.measureText(text).width;
    if (right > width - 4 || (later && !ms) || taken.some(([a, b]) => x < b && right > a)) continue;
    context.fillStyle = theme.color.soft;
    context.textAlign = "left";
    context.fillText(text, x + 3, AXIS / 2);
  }
  context.strokeStyle = theme.color.line;
  context.beginPath();
  context.moveTo(0, AXIS - 0.5);
  context.lineTo(width, AXIS - 0.5);
  context.stroke();
}

/** A time in which nothing ran: shaded; where a human was waited for, with a sign and in the colour of waiting. */
function drawStretch(context: CanvasRenderingContext2D, picture: Picture, stretch: Stretch, taken: Array<[number, number]>): void {
  const { theme, window, width, height, gutter } = picture;
  const [a, b] = [gutter + window.x(stretch.from), gutter + window.x(stretch.to)];
  if (b < gutter || a > width || b - a < 0.5) return;
  const [left, right] = [Math.max(a, gutter), Math.min(b, width)];
  const color = stretch.human ? theme.color.waiting : theme.color.muted;
  context.fillStyle = mix(color, theme.color.bg, stretch.human ? 0.16 : 0.12);
  context.fillRect(left, AXIS, right - left, height - AXIS);
  context.strokeStyle = mix(color, theme.color.bg, 0.5);
  context.setLineDash([2, 3]);
  context.strokeRect(Math.round(left) + 0.5, AXIS, Math.round(right - left) - 1, height - AXIS);
  context.setLineDash([]);
  context.font = `${stretch.human ? "" : "italic "}11px ${theme.font}`;
  const text = `${stretch.human ? "waited" : "idle"} ${duration(stretch.to - stretch.from)}`;
  const half = context.measureText(text).width / 2 + (stretch.human ? 12 : 4);
  const middle = Math.min(Math.max((left + right) / 2, gutter + half), width - half);
  if ((right - left < half && !stretch.short) || taken.some(([x, y]) => middle - half < y && middle + half > x)) return;
  taken.push([middle - half, middle + half]);
  context.fillStyle = theme.color.soft;
  context.textAlign = "center";
  context.fillText(text, middle + (stretch.human ? 6 : 0), AXIS / 2);
  if (stretch.human) stroke(context, statusLook("waiting").path, middle - half + 1, AXIS / 2 - 6, 12, color, 2);
}

function drawRow(context: CanvasRenderingContext2D, picture: Picture, at: number, top: number): void {
  const { rows, theme, width, gutter, selected, hovered } = picture;
  const row = rows.rows[at];
  if (!row) return;
  const isChosen = row.step !== null && (selected[row.track]?.has(row.step) ?? false);
  const isHovered = hovered !== null && hovered.track === row.track && rows.rowOfStep[row.track]?.[hovered.step] === at;
  if (isChosen || isHovered) {
    context.fillStyle = mix(isChosen ? theme.color.selected : theme.color.muted, theme.color.bg, isChosen ? 0.22 : 0.12);
    context.fillRect(0, top, width, LANE);
  }
  if (isChosen) {
    context.fillStyle = theme.color.selected;
    context.fillRect(0, top, 3, LANE);
  }
  const isDim = picture.marked !== null && row.step !== null && !picture.marked.has(row.step);
  context.globalAlpha = isDim ? 0.22 : 1;
  drawName(context, picture, at, top, isChosen);
  context.save();
  context.beginPath();
  context.rect(gutter, top, width - gutter, LANE);
  context.clip();
  drawBars(context, picture, at, top);
  drawMarks(context, picture, at, top);
  drawFailures(context, picture, at, top);
  context.restore();
  context.globalAlpha = 1;
}

function drawName(context: CanvasRenderingContext2D, picture: Picture, at: number, top: number, isChosen: boolean): void {
  const { rows, theme, gutter } = picture;
  const row = rows.rows[at];
  const track = rows.tracks[row?.track ?? 0];
  if (!row || !track) return;
  const middle = top + LANE / 2 + 0.5;
  context.textAlign = "left";
  let left = 24;
  if (rows.tracks.length > 1) {
    // Which of the two runs: a letter, and the colour of its bars.
    context.font = `700 10.5px ${theme.font}`;
    context.fillStyle = sideColor(theme, row.track);
    context.fillText(row.track ? "B" : "A", 8, middle);
  } else if (row.step !== null || row.leads) {
    const look = statusLook(row.step === null ? (failingIn(rows, at) ? "failed" : null) : statusOf(track, row.step));
    if (row.step !== null || failingIn(rows, at)) stroke(context, look.path, 6, top + 3, 12, colorOf(theme, look.color), 2);
    else left = 8;
  }
  // The name of a group whose first row has scrolled away stays in sight.
  const isFirst = row.step === null && top <= AXIS && top > AXIS - LANE;
  if (!isFirst && (!row.opens || (!row.leads && row.step !== null))) return;
  left += Math.min(row.depth, 4) * 8;
  context.font = `${isChosen ? 600 : 400} 12px ${theme.font}`;
  const suffix = row.step !== null ? stepSuffix(track, row.step) : row.opens ? groupSuffix(rows, at) : "";
  const room = gutter - 8 - left - context.measureText(suffix).width;
  const name = row.leads || isFirst ? fit(context, row.label, room) : "";
  context.fillStyle = theme.color.fg;
  context.fillText(name, left, middle);
  context.fillStyle = theme.color.soft;
  context.fillText(suffix, left + context.measureText(name).width, middle);
}

function statusOf({ run }: Track, index: number): string {
  const step = run.step(index);
  return step.failing ? "failed" : step.status;
}

function stepSuffix({ run }: Track, index: number): string {
  const step = run.step(index);
  return run.isRepeated(index) ? ` #${step.visit}${step.attempt > 1 ? `.${step.attempt}` : ""}` : "";
}

/** How many steps the group has, over all its rows of one run. */
function groupSuffix(rows: Rows, at: number): string {
  let last = at + 1;
  while (last < rows.length && !rows.rows[last]?.opens) last++;
  const n = (rows.start[last] ?? 0) - (rows.start[at] ?? 0);
  return n > 1 ? ` ×${n}` : "";
}

function failingIn(rows: Rows, at: number): boolean {
  let last = at + 1;
  while (last < rows.length && !rows.rows[last]?.opens) last++;
  return (rows.failing[rows.start[last] ?? 0] ?? 0) > (rows.failing[rows.start[at] ?? 0] ?? 0);
}

/** `text`, or as much of both its ends as has room: names often differ only at the end. */
export function fit(context: CanvasRenderingContext2D, text: string, room: number): string {
  if (text.length <= 80 && context.measureText(text).width <= room) return text;
  for (let kept = Math.min(text.length - 1, 60); kept > 2; kept--) {
    const tail = Math.floor(kept * 0.4);
    const short = `${text.slice(0, kept - tail)}…${text.slice(text.length - tail)}`;
    if (context.measureText(short).width <= room) return short;
  }
  return `${text.slice(0, 1)}…`;
}

/** Lines from what led to the selected step, and to what it led to. */
function drawLinks(context: CanvasRenderingContext2D, picture: Picture): void {
  const { rows, theme, primary, gutter, width } = picture;
  const run = rows.tracks[0]?.run;
  if (primary === null || !run || rows.tracks.length > 1) return;
  const place = (step: number, atEnd: boolean): [number, number] => {
    const row = rows.rowOfStep[0]?.[step] ?? 0;
    const lane = run.lane(step);
    const ms = (lane?.offset_ms ?? 0) + (atEnd ? (lane?.duration_ms ?? 0) : 0);
    return [gutter + picture.window.x(ms), AXIS + row * LANE - picture.scrollTop + LANE / 2];
  };
  context.save();
  context.beginPath();
  context.rect(gutter - 2, AXIS, width, picture.height);
  context.clip();
  context.strokeStyle = theme.color.selected;
  context.lineWidth = 1.4;
  for (const cause of [...(run.causesOf[primary] ?? []).slice(0, 200), ...(run.effectsOf[primary] ?? []).slice(0, 200)]) {
    const [[x0, y0], [x1, y1]] = [place(cause.source, true), place(cause.target, false)];
    if (y0 === y1) continue;
    const bend = Math.min(Math.max((x1 - x0) / 2, 7), 40);
    context.beginPath();
    context.moveTo(x0, y0);
    context.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1, y1);
    context.stroke();
  }
  context.restore();
}

/** Between groups that take several rows. */
function drawSeparators(context: CanvasRenderingContext2D, { rows, theme, width, scrollTop }: Picture, first: number, last: number): void {
  if (rows.grouping === "step" && rows.tracks.length === 1) return;
  context.strokeStyle = mix(theme.color.line, theme.color.bg, 0.6);
  context.lineWidth = 1;
  for (let at = Math.max(first, 1); at < last; at++) {
    if (!rows.rows[at]?.leads) continue;
    const y = Math.round(AXIS + at * LANE - scrollTop) + 0.5;
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(width, y);
    context.stroke();
  }
}

function switchesOf({ rows }: Picture): Array<{ ms: number }> {
  return rows.tracks.flatMap(({ run }) => run.payload.timeline.switches.map((one) => ({ ms: one.offset_ms })));
}

function drawSwitches(context: CanvasRenderingContext2D, picture: Picture): void {
  const { theme, window, gutter, height } = picture;
  for (const { ms } of switchesOf(picture)) {
    const x = Math.round(gutter + window.x(ms)) + 0.5;
    if (x < gutter) continue;
    context.strokeStyle = theme.color.switch;
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(x, 18);
    context.lineTo(x, height);
    context.stroke();
    context.setLineDash([]);
    context.fillStyle = theme.color.bg;
    context.fillRect(x - 8, 3, 16, 16);
    stroke(context, kindLook("intent_switch").path, x - 8, 3, 16, theme.color.switch, 1.8);
  }
}

/** What is later than the cursor is veiled. */
function drawCursor(context: CanvasRenderingContext2D, { cursor, theme, window, gutter, width, height }: Picture): void {
  if (cursor === null) return;
  const x = Math.round(gutter + Math.min(Math.max(window.x(cursor), -2), window.width + 16));
  context.globalAlpha = 0.72;
  context.fillStyle = theme.color.bg;
  const veil = Math.max(x, gutter);
  context.fillRect(veil, AXIS, Math.max(width - veil, 0), height - AXIS);
  context.globalAlpha = 1;
  if (x < gutter) return;
  context.fillStyle = theme.color.fg;
  context.fillRect(x - 0.5, 14, 1.5, height - 14);
  context.beginPath();
  context.moveTo(x - 5, 8);
  context.lineTo(x + 5.5, 8);
  context.lineTo(x + 0.25, 16);
  context.fill();
}

function drawBrush(context: CanvasRenderingContext2D, { brush, theme, height, gutter, window }: Picture): void {
  if (!brush) return;
  const [a, b] = [Math.min(...brush), Math.max(...brush)];
  context.globalAlpha = 0.2;
  context.fillStyle = theme.color.selected;
  context.fillRect(a, 0, b - a, height);
  context.globalAlpha = 1;
  context.fillRect(a, 0, 1, height);
  context.fillRect(b, 0, 1, height);
  const text = duration(window.ms(b - gutter) - window.ms(a - gutter));
  context.font = `600 11px ${theme.font}`;
  const half = context.measureText(text).width / 2 + 4;
  context.fillStyle = theme.color.bg;
  context.fillRect((a + b) / 2 - half, 3, 2 * half, 16);
  context.fillStyle = theme.color.fg;
  context.textAlign = "center";
  context.fillText(text, (a + b) / 2, AXIS / 2);
}

const PATHS = new Map<string, Path2D>();

/** The path of an icon, made once. */
export function pathOf(data: string): Path2D {
  const known = PATHS.get(data) ?? new Path2D(data);
  PATHS.set(data, known);
  return known;
}

export function stroke(
  context: CanvasRenderingContext2D, path: string, x: number, y: number, size: number, color: string, width: number,
): void {
  context.save();
  context.translate(x, y);
  context.scale(size / 16, size / 16);
  context.lineWidth = width;
  context.lineCap = "round";
  context.lineJoin = "round";
  context.strokeStyle = color;
  context.stroke(pathOf(path));
  context.restore();
}

export function colorOf(theme: Theme, variable: string): string {
  return theme.color[variable.replace("--ftnb-", "") as ColorName] ?? theme.color.muted;
}

/** The colour of the first and the second of two runs. */
export function sideColor(theme: Theme, side: number): string {
  return side ? theme.color.switch : theme.color.done;
}

/** "12 steps in 4 rows", for screen readers. */
export function describeRows(rows: Rows): string {
  return `${plural(rows.step.length, "step")} in ${plural(rows.length, "row")}`;
}
