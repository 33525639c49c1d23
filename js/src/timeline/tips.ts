// What is under the pointer, and what is said about it.

import { h } from "../dom";
import { duration, plural } from "../format";
import { kindLook, statusLook } from "../status";
import { AXIS, LANE, type Stretch } from "./draw";
import { markAt } from "./marks";
import type { Rows, Track } from "./rows";
import type { Window } from "./scale";

/** What is under the pointer. */
export interface Hit {
  track: number;
  step: number | null;
  /** Index of the mark among all of its track. */
  mark: number | null;
  switchAt: number | null;
  stretch: number | null;
  x: number;
  y: number;
}

/** What the timeline shows, as far as tips tell about it. */
export interface Told {
  tracks: readonly Track[];
  rows: Rows;
  stretches: readonly Stretch[];
  window: Window | null;
  gutter: number;
  state: { wall: boolean };
}

/** What is at `x`, `y` of the timeline's place, in px. */
export function hitAt({ tracks, rows, stretches, window, gutter }: Told, x: number, y: number, scrollTop: number): Hit {
  const nothing: Hit = { track: 0, step: null, mark: null, switchAt: null, stretch: null, x, y };
  if (!window) return nothing;
  const plot = x - gutter;
  if (y < AXIS) {
    const near = tracks[0]?.run.payload.timeline.switches.findIndex((s) => Math.abs(window.x(s.offset_ms) - plot) < 8) ?? -1;
    const stretch = stretches.findIndex((one) => plot >= window.x(one.from) - 6 && plot <= window.x(one.to) + 6);
    return { ...nothing, switchAt: near >= 0 ? near : null, stretch: stretch >= 0 ? stretch : null };
  }
  const at = Math.floor((y - AXIS + scrollTop) / LANE);
  const row = rows.rows[at];
  if (!row) return nothing;
  const mark = plot < 0 ? null : nearest(rows, at, window, plot);
  let step = row.step;
  if (step === null && plot >= 0) {
    const [a, b] = rows.barsIn(at, window.ms(plot - 3), window.ms(plot + 3));
    step = b > a ? (rows.step[a] ?? null) : null;
    if (mark !== null) step = tracks[row.track]?.run.order[rows.laneOfMark(row.track, mark)] ?? step;
  }
  return { ...nothing, track: row.track, step, mark };
}

/** The box that says it, beside the pointer. */
export class Tip {
  readonly element = h("div", { class: "ftnb-tip", attrs: { hidden: true } });

  /** No lines: nothing is shown. `within` is the place that it must not leave. */
  show(lines: readonly string[], x: number, y: number, within: HTMLElement): void {
    const { element } = this;
    element.hidden = !lines.length;
    if (!lines.length) return;
    element.replaceChildren(...lines.map((line, i) => h(i ? "div" : "b", { text: line.slice(0, 200) })));
    const { clientWidth: width, clientHeight: height } = within;
    const [w, tall] = [element.offsetWidth, element.offsetHeight];
    element.style.left = `${Math.max(Math.min(x + 14, width - w - 6), 4)}px`;
    element.style.top = `${y + 16 + tall > height ? Math.max(y - tall - 10, 2) : y + 16}px`;
  }

  hide(): void {
    this.element.hidden = true;
  }
}

export function tipLines(hit: Hit, told: Told): string[] {
  const run = told.tracks[hit.track]?.run;
  if (!run) return [];
  if (hit.switchAt !== null) {
    const one = run.payload.timeline.switches[hit.switchAt];
    return one ? [`Intent switch: ${one.from_step ?? "start"} → ${one.to_step}`, one.reason] : [];
  }
  const stretch = hit.stretch === null ? null : told.stretches[hit.stretch];
  if (stretch) return stretchLines(stretch, told.state.wall);
  if (hit.y < AXIS && hit.x >= told.gutter && told.window) {
    return [`${duration(told.window.ms(hit.x - told.gutter))}: click to see the run as of then, drag to zoom in`];
  }
  return hit.step === null ? [] : [...stepLines(hit.step, hit.track, told), ...markLines(hit, told)];
}

function stretchLines(stretch: Stretch, wall: boolean): string[] {
  const what = stretch.human ? "Waited for the user" : "Nothing ran";
  const can = wall ? "" : stretch.short ? "Click to draw it at full length" : "Click to draw it short";
  return [`${what} for ${duration(stretch.to - stretch.from)}`, can].filter(Boolean);
}

function stepLines(index: number, track: number, { tracks }: Told): string[] {
  const { run, name = "" } = tracks[track] ?? {};
  const step = run?.step(index);
  if (!run || !step) return [];
  const took = run.lane(index)?.open ? "still running" : duration(step.duration_ms);
  const lines = [`${name ? `${name}: ` : ""}${run.title(index)}`, `${statusLook(step.status).word} · ${took} · from ${duration(step.offset_ms)}`];
  if (step.total_tokens) lines.push(plural(step.total_tokens, "token"));
  if (step.error) lines.push(step.error.slice(0, 160));
  return lines;
}

function markLines(hit: Hit, { rows }: Told): string[] {
  const mark = hit.mark === null ? null : markAt(rows, hit.track, hit.mark);
  if (!mark) return [];
  const long = mark.duration_ms ? ` · ${duration(mark.duration_ms)}` : "";
  const first = mark.ttft_ms === null ? "" : ` · first token after ${duration(mark.ttft_ms)}`;
  const ends = `${mark.failed ? " · failed" : ""}${mark.discarded ? " · discarded" : ""}`;
  return [`${kindLook(mark.kind).word}: ${mark.name}${long}${first}${ends}`];
}

/** The mark of a row that is nearest to a pixel, by its index among all of the track; null: none is near. */
function nearest(rows: Rows, row: number, window: Window, plot: number): number | null {
  const [a, b] = rows.marksIn(row, window.ms(plot - 7), window.ms(plot + 7));
  let [best, found]: [number, number | null] = [7, null];
  for (let i = a; i < Math.min(b, a + 5_000); i++) {
    const distance = Math.abs(window.x(rows.markAt[i] ?? 0) - plot);
    if (distance < best) [best, found] = [distance, rows.mark[i] ?? null];
  }
  return found;
}
