// Painting the timeline. Knows no DOM but the canvas context that it is given.

import { duration, tick } from "../format";
import type { Lane, Mark } from "../protocol.gen";
import type { Run } from "../run";
import { kindLook, statusLook } from "../status";
import { type ColorName, mix, type Theme } from "../theme";
import type { Window } from "./scale";

/** Heights in px. */
export const AXIS = 24;
export const LANE = 18;

export interface Picture {
  run: Run;
  theme: Theme;
  window: Window;
  width: number;
  height: number;
  /** Width of the names on the left, in px. */
  gutter: number;
  scrollTop: number;
  selected: ReadonlySet<number>;
  hovered: number | null;
}

export function drawTimeline(context: CanvasRenderingContext2D, picture: Picture): void {
  const { width, height, theme, run, scrollTop, gutter } = picture;
  context.clearRect(0, 0, width, height);
  context.textBaseline = "middle";
  const { lanes } = run.payload.timeline;
  drawGrid(context, picture);
  const first = Math.max(Math.floor(scrollTop / LANE), 0);
  const last = Math.min(Math.ceil((scrollTop + height - AXIS) / LANE), lanes.length);
  context.save();
  context.beginPath();
  context.rect(0, AXIS, width, height - AXIS);
  context.clip();
  for (let at = first; at < last; at++) {
    const lane = lanes[at];
    if (lane) drawLane(context, picture, lane, AXIS + at * LANE - scrollTop);
  }
  context.restore();
  drawSwitches(context, picture);
  if (!lanes.length) {
    context.fillStyle = theme.color.soft;
    context.font = `13px ${theme.font}`;
    context.textAlign = "left";
    context.fillText("No step has been recorded yet.", gutter, AXIS + 30);
  }
}

function drawGrid(context: CanvasRenderingContext2D, picture: Picture): void {
  const { theme, window, width, height, gutter, run } = picture;
  const line = mix(theme.color.line, theme.color.bg, 0.7);
  if (!run.payload.timeline.lanes.length) return;
  const taken: Array<[number, number]> = run.payload.timeline.switches.map((one) => {
    const x = gutter + window.x(one.offset_ms);
    return [x - 9, x + 9];
  });
  for (const [from = 0, to = 0] of run.payload.timeline.idle) {
    const [a, b] = [gutter + window.x(from), gutter + window.x(to)];
    if (b < gutter || a > width) continue;
    const left = Math.max(a, gutter);
    context.fillStyle = mix(theme.color.muted, theme.color.bg, 0.13);
    context.fillRect(left, AXIS, b - left, height - AXIS);
    context.fillStyle = theme.color.soft;
    context.font = `italic 11px ${theme.font}`;
    context.textAlign = "center";
    const text = `${duration(to - from)} later`;
    const [middle, half] = [Math.max((left + b) / 2, gutter + 40), context.measureText(text).width / 2 + 4];
    taken.push([middle - half, middle + half]);
    context.fillText(text, middle, AXIS / 2);
  }
  context.font = `11px ${theme.font}`;
  for (const { at, ms, step, later } of window.ticks(86)) {
    const x = Math.round(gutter + at) + 0.5;
    context.strokeStyle = line;
    context.beginPath();
    context.moveTo(x, AXIS - 4);
    context.lineTo(x, height);
    context.stroke();
    // The buttons stand over the right end of the axis.
    const text = later && ms ? `+${tick(ms, step)}` : tick(ms, step);
    const right = x + 3 + context.measureText(text).width;
    if (right > width - 84 || (later && !ms) || taken.some(([a, b]) => x < b && right > a)) continue;
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

function drawLane(context: CanvasRenderingContext2D, picture: Picture, lane: Lane, top: number): void {
  const { run, theme, width, gutter, selected, hovered } = picture;
  const step = run.step(lane.step);
  const chosen = selected.has(lane.step);
  if (chosen || hovered === lane.step) {
    context.fillStyle = mix(chosen ? theme.color.selected : theme.color.muted, theme.color.bg, chosen ? 0.22 : 0.12);
    context.fillRect(0, top, width, LANE);
  }
  if (chosen) {
    context.fillStyle = theme.color.selected;
    context.fillRect(0, top, 3, LANE);
  }
  drawName(context, picture, lane, top, chosen);
  context.save();
  context.beginPath();
  context.rect(gutter, top, width - gutter, LANE);
  context.clip();
  drawBar(context, picture, lane, step.status, top);
  // Stretches first: a long call must not cover the points inside it.
  for (const mark of lane.marks) drawStretch(context, picture, mark, top);
  for (const mark of lane.marks) drawMark(context, picture, mark, top);
  context.restore();
}

function drawName(context: CanvasRenderingContext2D, picture: Picture, lane: Lane, top: number, chosen: boolean): void {
  const { run, theme, gutter } = picture;
  const step = run.step(lane.step);
  const look = statusLook(step.failing ? "failed" : step.status);
  stroke(context, look.path, 6, top + 3, 12, colorOf(theme, look.color), 2);
  const depth = Math.min(step.ns ? step.ns.split("/").length : 0, 4) * 8;
  context.font = `${chosen ? 600 : 400} 12px ${theme.font}`;
  context.fillStyle = theme.color.fg;
  context.textAlign = "left";
  const suffix = run.isRepeated(lane.step) ? ` #${step.visit}${step.attempt > 1 ? `.${step.attempt}` : ""}` : "";
  const room = gutter - 32 - depth - context.measureText(suffix).width;
  const name = fit(context, step.name, room);
  context.fillText(name, 24 + depth, top + LANE / 2 + 0.5);
  context.fillStyle = theme.color.soft;
  context.fillText(suffix, 24 + depth + context.measureText(name).width, top + LANE / 2 + 0.5);
}

/** `text`, or as much of both its ends as has room: names often differ only at the end. */
function fit(context: CanvasRenderingContext2D, text: string, room: number): string {
  if (text.length <= 80 && context.measureText(text).width <= room) return text;
  for (let kept = Math.min(text.length - 1, 60); kept > 2; kept--) {
    const tail = Math.floor(kept * 0.4);
    const short = `${text.slice(0, kept - tail)}…${text.slice(text.length - tail)}`;
    if (context.measureText(short).width <= room) return short;
  }
  return `${text.slice(0, 1)}…`;
}

function drawBar(context: CanvasRenderingContext2D, picture: Picture, lane: Lane, status: string, top: number): void {
  const { theme, window, gutter, run } = picture;
  const color = colorOf(theme, statusLook(status).color);
  const from = gutter + window.x(lane.offset_ms);
  const end = lane.open ? run.payload.timeline.total_ms : lane.offset_ms + lane.duration_ms;
  const to = Math.max(gutter + window.x(end), from + 3);
  const [y, tall] = [top + 2.5, LANE - 5];
  context.beginPath();
  context.roundRect(from, y, to - from, tall, 3);
  context.fillStyle = mix(color, theme.color.bg, theme.dark ? 0.45 : 0.32);
  context.fill();
  if (status !== "completed" && to - from > 8) hatch(context, from, y, to - from, tall, color, status);
  context.lineWidth = status === "failed" ? 2 : 1.2;
  context.setLineDash(lane.open || status === "waiting" ? [4, 3] : []);
  context.strokeStyle = color;
  context.stroke();
  context.setLineDash([]);
  context.lineWidth = 1;
  if (run.step(lane.step).is_global) {
    context.fillStyle = theme.color.switch;
    context.fillRect(from, y, 3, tall);
  }
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
  // A bar zoomed far beyond the canvas needs lines only where it can be seen.
  const right = Math.min(x + width, 8_000) + tall;
  for (let at = Math.max(x, -50) - tall; at < right; at += gap) {
    context.moveTo(at, y + (lean > 0 ? tall : 0));
    context.lineTo(at + tall, y + (lean > 0 ? 0 : tall));
  }
  context.globalAlpha = 0.4;
  context.strokeStyle = color;
  context.stroke();
  context.restore();
  // The outline of the bar is drawn next, and is the current path.
  context.beginPath();
  context.roundRect(x, y, width, tall, 3);
}

function drawStretch(context: CanvasRenderingContext2D, { theme, window, gutter }: Picture, mark: Mark, top: number): void {
  if (!mark.duration_ms) return;
  const [from, to] = [gutter + window.x(mark.offset_ms), gutter + window.x(mark.offset_ms + mark.duration_ms)];
  if (to - from < 2) return;
  context.fillStyle = colorOf(theme, mark.failed ? "--ftnb-failed" : kindLook(mark.kind).color);
  context.globalAlpha = mark.discarded ? 0.25 : 0.6;
  context.fillRect(from, top + LANE / 2 - 1.5, to - from, 3);
  if (mark.ttft_ms) {
    const x = gutter + window.x(mark.offset_ms + mark.ttft_ms);
    context.fillRect(x, top + LANE / 2 - 4, 1.5, 8);
  }
  context.globalAlpha = 1;
}

function drawMark(context: CanvasRenderingContext2D, { theme, window, gutter }: Picture, mark: Mark, top: number): void {
  const look = kindLook(mark.failed ? "error" : mark.kind);
  const color = colorOf(theme, look.color);
  const x = gutter + window.x(mark.offset_ms);
  const path = new Path2D(look.path);
  context.save();
  context.translate(x - 6, top + LANE / 2 - 6);
  context.scale(0.75, 0.75);
  context.globalAlpha = mark.discarded ? 0.45 : 1;
  if (mark.kind !== "log" && !mark.failed) {
    context.fillStyle = theme.color.bg;
    context.fill(path);
  }
  context.lineWidth = mark.failed ? 3.4 : 2.2;
  context.strokeStyle = color;
  context.stroke(path);
  context.restore();
}

function drawSwitches(context: CanvasRenderingContext2D, { theme, window, gutter, run, height }: Picture): void {
  for (const one of run.payload.timeline.switches) {
    const x = Math.round(gutter + window.x(one.offset_ms)) + 0.5;
    if (x < gutter) continue;
    context.strokeStyle = theme.color.switch;
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(x, 18);
    context.lineTo(x, height);
    context.stroke();
    context.setLineDash([]);
    const look = kindLook("intent_switch");
    context.fillStyle = theme.color.bg;
    context.fillRect(x - 8, 3, 16, 16);
    stroke(context, look.path, x - 8, 3, 16, theme.color.switch, 1.8);
  }
}

function stroke(
  context: CanvasRenderingContext2D, path: string, x: number, y: number, size: number, color: string, width: number,
): void {
  context.save();
  context.translate(x, y);
  context.scale(size / 16, size / 16);
  context.lineWidth = width;
  context.lineCap = "round";
  context.lineJoin = "round";
  context.strokeStyle = color;
  context.stroke(new Path2D(path));
  context.restore();
}

function colorOf(theme: Theme, variable: string): string {
  return theme.color[variable.replace("--ftnb-", "") as ColorName] ?? theme.color.muted;
}
