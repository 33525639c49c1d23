// The timeline on the page: rows of steps over time, on one canvas that stays in sight while the rows scroll.

import { h } from "../dom";
import { duration, plural } from "../format";
import { touch } from "../graph/seen";
import type { Run } from "../run";
import type { Theme } from "../theme";
import { AXIS, describeRows, drawTimeline, LANE, type Picture, type Stretch } from "./draw";
import { markAt } from "./marks";
import { Minimap, MINIMAP } from "./minimap";
import { type Grouping, GROUPINGS, Rows, type Track } from "./rows";
import { TimeScale, Window } from "./scale";
import { stretchesOf } from "./stretches";
import { type Hit, hitAt, Tip, tipLines } from "./tips";
import { Tools } from "./tools";

/** In px; longer timelines scroll. */
const MAX_HEIGHT = 208;
/** From this many steps on, the strip with the whole run is shown, and one row a node is what is shown first. */
const LONG = 40;
const VERY_LONG = 300;
/** Steps that the list for screen readers holds. */
const MAX_LISTED = 500;

export interface TimelineEvents {
  onStep(step: number, add: boolean, event: number | null, track: number): void;
  onHover(step: number | null): void;
  /** The user pointed at a time on the axis. */
  onSeek?(ms: number): void;
  /** The user set how the timeline is shown. */
  onState?(state: TimelineState): void;
}

/** How the user set the timeline. */
export interface TimelineState {
  grouping: Grouping | null;
  wall: boolean;
}

export class TimelineView {
  readonly element: HTMLElement;
  readonly tools: Tools;
  /** The same as a list, for screen readers. */
  readonly twin = h("ol", { class: "ftnb-aloud", attrs: { "aria-label": "Steps in order of time" } });
  /** Told when the scale of time became another. */
  onScale: ((scale: TimeScale) => void) | null = null;
  private readonly canvas = h("canvas");
  private readonly spacer = h("div");
  private readonly scroll: HTMLElement;
  private readonly tip = new Tip();
  private readonly minimap: Minimap;
  tracks: Track[] = [];
  private pairs: ReadonlyArray<readonly (number | null)[]> = [];
  rows = new Rows([], "step");
  stretches: Stretch[] = [];
  /** Stretches that the user opened, by where they begin. */
  private readonly opened = new Set<number>();
  state: TimelineState = { grouping: null, wall: false };
  private theme: Theme | null = null;
  window: Window | null = null;
  private columns: Float64Array | null = null;
  private selected = new Set<number>();
  private selectedOther = new Set<number>();
  private primary: number | null = null;
  private hovered: { track: number; step: number } | null = null;
  private marked: ReadonlySet<number> | null = null;
  private cursor: number | null = null;
  private frame = 0;
  private prepared = "";
  private shown = "";
  private listing: ReturnType<typeof setTimeout> | undefined;
  private drag: { x: number; left: number; kind: "pan" | "brush"; moved: boolean } | null = null;
  private brush: [number, number] | null = null;

  constructor(private readonly events: TimelineEvents, signal: AbortSignal) {
    this.spacer.append(this.canvas);
    this.scroll = h("div", { class: "ftnb-scroll" }, this.spacer);
    this.minimap = new Minimap((left, right) => this.showUnits(left, right), signal);
    this.tools = new Tools({
      onGrouping: (grouping) => this.setState({ ...this.state, grouping }),
      onWall: (wall) => this.setState({ ...this.state, wall }),
      onZoom: (factor) => this.zoom(factor),
      onFit: () => this.fit(),
    });
    this.element = h(
      "div", { class: "ftnb-time", attrs: { tabindex: 0, role: "application" } }, this.scroll, this.minimap.element, this.tip.element,
    );
    this.listen(signal);
  }

  show(run: Run): void {
    this.showTracks([{ run, side: 0, name: "" }], []);
  }

  /** Several runs on one axis; `pairs` are steps of each that belong together, in the order of the rows. */
  showTracks(tracks: Track[], pairs: ReadonlyArray<readonly (number | null)[]>): void {
    const id = tracks.map(({ run }) => run.payload.engagement?.id).join();
    const before = this.shown;
    if (id !== before) {
      this.window = null;
      this.opened.clear();
    }
    this.shown = id;
    [this.tracks, this.pairs] = [tracks, pairs];
    this.arrange();
    const names = tracks.map(({ run }) => run.payload.engagement?.name ?? "").join(" and ");
    const total = Math.max(...tracks.map(({ run }) => run.payload.timeline.total_ms), 0);
    this.element.setAttribute(
      "aria-label",
      `Timeline of ${names}: ${describeRows(this.rows)} over ${duration(total)}. Arrow keys move along the steps.`,
    );
    clearTimeout(this.listing);
    // A live run is shown anew many times a second.
    if (id === before) this.listing = setTimeout(() => this.listSteps(), 250);
    else this.listSteps();
  }

  paint(theme: Theme): void {
    this.theme = theme;
    this.prepared = "";
    this.redraw();
  }

  /** Select steps of the first track, and of the second. */
  select(steps: readonly number[], other: readonly number[] = []): void {
    this.selected = new Set(steps);
    this.selectedOther = new Set(other);
    this.primary = steps.at(-1) ?? null;
    if (this.primary !== null) this.bringIntoView(0, this.primary);
    else if (other.length) this.bringIntoView(1, other.at(-1) ?? 0);
    this.redraw();
  }

  /** Keep these steps in full colour; null: all. */
  mark(steps: ReadonlySet<number> | null): void {
    this.marked = steps;
    this.redraw();
  }

  hover(step: number | null, track = 0): void {
    if (this.hovered?.step === step && this.hovered?.track === track) return;
    this.hovered = step === null ? null : { track, step };
    this.redraw();
  }

  /** Show the run as of `ms`; null: all of it. */
  at(ms: number | null): void {
    this.cursor = ms;
    if (ms !== null) this.window?.reveal(ms);
    this.redraw();
  }

  zoom(factor: number, x = this.plotWidth() / 2): void {
    this.window?.zoom(factor, x);
    this.redraw();
  }

  fit(): void {
    if (this.window) this.showUnits(0, this.window.scale.length);
  }

  /** Show how the user had set it; what is not understood is left as it is. */
  restore(state: unknown): void {
    if (typeof state !== "object" || state === null) return;
    const { grouping, wall } = state as Partial<TimelineState>;
    const known = GROUPINGS.find((one) => one === grouping) ?? null;
    if (known === this.state.grouping && Boolean(wall) === this.state.wall) return;
    this.state = { grouping: known, wall: Boolean(wall) };
    this.arrange();
  }

  get scale(): TimeScale {
    return this.window?.scale ?? new TimeScale(0, 1, []);
  }

  private setState(state: TimelineState): void {
    this.state = state;
    this.arrange();
    this.events.onState?.(state);
  }

  private showUnits(left: number, right: number): void {
    this.window?.showUnits(left, right);
    this.redraw();
  }

  /** Sort the steps into rows, and set the scale. */
  private arrange(): void {
    const { tracks } = this;
    const n = Math.max(...tracks.map(({ run }) => run.payload.steps.length), 0);
    const nodes = new Set(tracks.flatMap(({ run }) => run.payload.steps.map((step) => step.node))).size;
    const auto: Grouping = n >= VERY_LONG && nodes < n / 3 ? "node" : "step";
    const grouping = this.state.grouping ?? auto;
    this.rows = new Rows(tracks, grouping, this.pairs);
    this.stretches = stretchesOf(tracks).map((one) => ({ ...one, short: one.short && !this.state.wall && !this.opened.has(one.from) }));
    const scale = this.makeScale();
    this.window = this.window ? this.window.onto(scale, this.plotWidth()) : new Window(scale, this.plotWidth());
    this.onScale?.(scale);
    const steps = tracks[0]?.run.payload.steps ?? [];
    this.tools.show({
      grouping,
      wall: this.state.wall,
      offered: GROUPINGS.filter((one) =>
        one === "turn" ? steps.some((s) => s.turn > 1) : one === "subgraph" ? steps.some((s) => s.ns) : true,
      ),
      hasIdle: this.stretches.some((one) => one.short) || this.state.wall || this.opened.size > 0,
    });
    const isLong = n >= LONG;
    this.minimap.element.hidden = !isLong;
    const tall = AXIS + this.rows.length * LANE + 6;
    this.spacer.style.height = `${tall}px`;
    this.scroll.style.bottom = isLong ? `${MINIMAP + 1}px` : "0";
    this.element.style.height = `${Math.min(Math.max(tall, 66), MAX_HEIGHT) + (isLong ? MINIMAP + 1 : 0)}px`;
    this.prepared = "";
    this.redraw();
  }

  private makeScale(): TimeScale {
    const runs = this.tracks.map(({ run }) => run.payload.timeline);
    const first = Math.min(0, ...runs.flatMap((one) => one.lanes.slice(0, 1).map((lane) => lane.offset_ms)));
    const last = Math.max(first + 1, ...runs.map((one) => one.total_ms));
    return new TimeScale(first, last, this.stretches.filter((one) => one.short).map((one) => [one.from, one.to]));
  }

  get gutter(): number {
    return this.scroll.clientWidth < 520 ? 118 : 148;
  }

  private plotWidth(): number {
    return Math.max(this.scroll.clientWidth - this.gutter - 14, 40);
  }

  private redraw(): void {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.drawNow());
  }

  private drawNow(): void {
    this.frame = 0;
    touch();
    const { clientWidth: width, clientHeight: height } = this.scroll;
    const context = this.canvas.getContext("2d");
    if (!this.theme || !this.window || !context || width < 2 || height < 2) return;
    if (this.window.width !== this.plotWidth()) this.window = this.window.onto(this.window.scale, this.plotWidth());
    const ratio = globalThis.devicePixelRatio || 1;
    const [w, hgt] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== hgt) {
      [this.canvas.width, this.canvas.height] = [w, hgt];
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    drawTimeline(context, this.picture(width, height));
    this.drawMinimap();
  }

  private drawMinimap(): void {
    const { window, theme, gutter } = this;
    if (this.minimap.element.hidden || !window || !theme) return;
    const key = `${window.width} ${gutter}`;
    if (key !== this.prepared) this.minimap.prepare(this.rows, window.scale, this.stretches, theme, window.width, gutter);
    this.prepared = key;
    this.minimap.draw(window, theme, this.cursor);
  }

  private picture(width: number, height: number): Picture {
    const window = this.window as Window;
    this.columns = window.columns();
    return {
      rows: this.rows, theme: this.theme as Theme, window, columns: this.columns, stretches: this.stretches, width, height,
      gutter: this.gutter, scrollTop: this.scroll.scrollTop, selected: [this.selected, this.selectedOther], primary: this.primary,
      hovered: this.hovered, marked: this.marked, cursor: this.cursor, brush: this.brush,
    };
  }

  private bringIntoView(track: number, step: number): void {
    const row = this.rows.rowOfStep[track]?.[step] ?? -1;
    const lane = this.tracks[track]?.run.lane(step);
    if (row < 0 || !lane) return;
    const [top, bottom] = [row * LANE, (row + 1) * LANE + AXIS];
    const { scrollTop, clientHeight } = this.scroll;
    if (top < scrollTop) this.scroll.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.scroll.scrollTop = bottom - clientHeight + 4;
    const { left, right, scale } = this.window ?? { left: 0, right: 0, scale: null };
    const [from, to] = [scale?.unit(lane.offset_ms) ?? 0, scale?.unit(lane.offset_ms + lane.duration_ms) ?? 0];
    if (to < left || from > right) this.window?.reveal(lane.offset_ms);
  }

  /** What is under the pointer. */
  private hit(event: MouseEvent): Hit {
    const box = this.scroll.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    return hitAt(this, x, y, this.scroll.scrollTop);
  }

  private listen(signal: AbortSignal): void {
    const { scroll, element } = this;
    scroll.addEventListener("scroll", () => this.redraw(), { passive: true, signal });
    element.addEventListener("wheel", (event) => this.onWheel(event), { passive: false, signal });
    scroll.addEventListener("pointerdown", (event) => this.onDown(event), { signal });
    scroll.addEventListener("pointermove", (event) => this.onMove(event), { signal });
    scroll.addEventListener("pointerup", (event) => this.onUp(event), { signal });
    scroll.addEventListener("pointercancel", () => this.endDrag(), { signal });
    scroll.addEventListener("pointerleave", () => {
      if (this.drag?.moved) return;
      this.endDrag();
      this.tip.hide();
      this.events.onHover(null);
    }, { signal });
    scroll.addEventListener("dblclick", (event) => {
      if (event.clientY - scroll.getBoundingClientRect().top >= AXIS) this.fit();
    }, { signal });
    const observer = new ResizeObserver(() => this.redraw());
    observer.observe(scroll);
    signal.addEventListener("abort", () => {
      observer.disconnect();
      clearTimeout(this.listing);
      cancelAnimationFrame(this.frame);
    });
  }

  private onWheel(event: WheelEvent): void {
    const root = this.element.getRootNode() as Document | ShadowRoot;
    const focused = this.element.contains(root.activeElement);
    if (event.ctrlKey || event.metaKey || (focused && event.altKey)) {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 300), this.hit(event).x - this.gutter);
      return;
    }
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (!sideways || Math.abs(sideways) < Math.abs(event.shiftKey ? 0 : event.deltaY) || this.window?.isWhole) return;
    event.preventDefault();
    this.window?.pan(sideways);
    this.redraw();
  }

  private onDown(event: PointerEvent): void {
    this.element.focus({ preventScroll: true });
    if (event.button !== 0) return;
    const box = this.scroll.getBoundingClientRect();
    const onAxis = event.clientY - box.top < AXIS;
    const kind = (onAxis || event.shiftKey) && event.clientX - box.left > this.gutter ? "brush" : "pan";
    this.drag = { x: event.clientX, left: box.left, kind, moved: false };
  }

  private onMove(event: PointerEvent): void {
    const { drag } = this;
    if (drag && event.buttons) {
      const by = drag.x - event.clientX;
      if (drag.moved || Math.abs(by) > 4) {
        if (!drag.moved) this.scroll.setPointerCapture(event.pointerId);
        drag.moved = true;
        this.tip.hide();
        if (drag.kind === "brush") {
          this.brush = [drag.x - drag.left, Math.max(event.clientX - drag.left, this.gutter)];
        } else {
          this.scroll.classList.add("pan");
          this.window?.pan(by);
          drag.x = event.clientX;
        }
        this.redraw();
        return;
      }
    }
    const hit = this.hit(event);
    const { step, switchAt, stretch } = hit;
    this.scroll.style.cursor = step !== null || switchAt !== null || stretch !== null ? "pointer" : hit.y < AXIS && hit.x > this.gutter ? "col-resize" : "";
    this.hover(step, hit.track);
    if (hit.track === 0) this.events.onHover(step);
    this.tip.show(tipLines(hit, this), hit.x, hit.y, this.scroll);
  }

  private onUp(event: PointerEvent): void {
    const { drag, brush, window } = this;
    this.endDrag();
    if (drag?.moved) {
      if (brush && window && Math.abs(brush[0] - brush[1]) > 4) {
        window.show(window.ms(brush[0] - this.gutter), window.ms(brush[1] - this.gutter));
      }
      this.redraw();
      return;
    }
    if (event.button !== 0) return;
    const hit = this.hit(event);
    const stretch = hit.stretch === null ? null : this.stretches[hit.stretch];
    const target = hit.switchAt === null ? hit.step : (this.tracks[0]?.run.payload.timeline.switches[hit.switchAt]?.step ?? null);
    if (target !== null) {
      const mark = hit.mark === null ? null : (markAt(this.rows, hit.track, hit.mark)?.event ?? null);
      this.events.onStep(target, event.ctrlKey || event.metaKey || event.shiftKey, mark, hit.track);
    } else if (stretch) this.toggle(stretch);
    else if (hit.y < AXIS && hit.x >= this.gutter && window) this.events.onSeek?.(window.ms(hit.x - this.gutter));
  }

  /** Draw a stretch at its full length, or short again. */
  private toggle(stretch: Stretch): void {
    if (this.opened.has(stretch.from)) this.opened.delete(stretch.from);
    else this.opened.add(stretch.from);
    this.tip.hide();
    this.arrange();
  }

  private endDrag(): void {
    this.drag = null;
    this.brush = null;
    this.scroll.classList.remove("pan");
  }

  private listSteps(): void {
    const lines = this.tracks.flatMap(({ run, name }) =>
      run.order.slice(0, MAX_LISTED).map((step) => `${name ? `${name}: ` : ""}${run.describe(step)}, from ${duration(run.step(step).offset_ms)}`),
    );
    const left = this.tracks.reduce((sum, { run }) => sum + Math.max(run.order.length - MAX_LISTED, 0), 0);
    if (left) lines.push(`and ${plural(left, "more step")}`);
    this.twin.replaceChildren(...lines.map((text) => h("li", { text })));
  }
}
