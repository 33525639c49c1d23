// The timeline on the page: a lane a step, drawn on one canvas that stays in sight while the lanes scroll.

import { button, h, icon } from "../dom";
import { duration } from "../format";
import type { Run } from "../run";
import { ICON_FIT, ICON_MINUS, ICON_PLUS, kindLook, statusLook } from "../status";
import type { Theme } from "../theme";
import { AXIS, drawTimeline, LANE, type Picture } from "./draw";
import { TimeScale, Window } from "./scale";

/** In px; longer timelines scroll. */
const MAX_HEIGHT = 190;

export interface TimelineEvents {
  onStep(step: number, add: boolean, event: number | null): void;
  onHover(step: number | null): void;
}

export class TimelineView {
  readonly element: HTMLElement;
  private readonly canvas = h("canvas");
  private readonly spacer = h("div");
  private readonly scroll: HTMLElement;
  private readonly tip = h("div", { class: "ftnb-tip", attrs: { hidden: true } });
  private run: Run | null = null;
  private theme: Theme | null = null;
  private window: Window | null = null;
  private selected = new Set<number>();
  private hovered: number | null = null;
  private frame = 0;
  private drag: { x: number; moved: boolean } | null = null;

  constructor(private readonly events: TimelineEvents, signal: AbortSignal) {
    this.spacer.append(this.canvas);
    this.scroll = h("div", { class: "ftnb-scroll" }, this.spacer);
    const tools = h(
      "div",
      { class: "ftnb-tools" },
      button(icon(ICON_MINUS), () => this.zoom(1 / 1.5), { title: "Zoom out", attrs: { "aria-label": "Zoom out in time" } }),
      button(icon(ICON_PLUS), () => this.zoom(1.5), { title: "Zoom in", attrs: { "aria-label": "Zoom in in time" } }),
      button(icon(ICON_FIT), () => this.fit(), { title: "Show all", attrs: { "aria-label": "Show the whole time" } }),
    );
    this.element = h(
      "div",
      { class: "ftnb-time", attrs: { tabindex: 0, role: "application" } },
      this.scroll,
      tools,
      this.tip,
    );
    this.listen(signal);
  }

  show(run: Run): void {
    const { timeline, engagement } = run.payload;
    const first = Math.min(0, ...timeline.lanes.slice(0, 1).map((lane) => lane.offset_ms));
    const scale = new TimeScale(first, Math.max(timeline.total_ms, first + 1), timeline.idle);
    const whole = !this.window || this.window.isWhole || this.run?.payload.engagement.id !== engagement.id;
    this.window = whole
      ? new Window(scale, this.plotWidth())
      : new Window(scale, this.plotWidth(), this.window?.left, Math.min(this.window?.right ?? 1, scale.length));
    this.run = run;
    const tall = AXIS + timeline.lanes.length * LANE + 6;
    this.spacer.style.height = `${tall}px`;
    this.element.style.height = `${Math.min(Math.max(tall, 66), MAX_HEIGHT)}px`;
    this.element.setAttribute(
      "aria-label",
      `Timeline of ${engagement.name}: ${timeline.lanes.length} steps over ${duration(timeline.total_ms)}. Arrow keys move along the steps.`,
    );
    this.redraw();
  }

  paint(theme: Theme): void {
    this.theme = theme;
    this.redraw();
  }

  select(steps: readonly number[]): void {
    this.selected = new Set(steps);
    const primary = steps.at(-1);
    if (primary !== undefined) this.bringIntoView(primary);
    this.redraw();
  }

  hover(step: number | null): void {
    this.hovered = step;
    this.redraw();
  }

  zoom(factor: number, x = this.plotWidth() / 2): void {
    this.window?.zoom(factor, x);
    this.redraw();
  }

  fit(): void {
    if (this.window) [this.window.left, this.window.right] = [0, this.window.scale.length];
    this.redraw();
  }

  private get gutter(): number {
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
    const { clientWidth: width, clientHeight: height } = this.scroll;
    const context = this.canvas.getContext("2d");
    if (!this.run || !this.theme || !this.window || !context || width < 2 || height < 2) return;
    if (this.window.width !== this.plotWidth()) {
      this.window = new Window(this.window.scale, this.plotWidth(), this.window.left, this.window.right);
    }
    const ratio = globalThis.devicePixelRatio || 1;
    const [w, hgt] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== hgt) {
      this.canvas.width = w;
      this.canvas.height = hgt;
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    drawTimeline(context, this.picture(width, height));
  }

  private picture(width: number, height: number): Picture {
    return {
      run: this.run as Run,
      theme: this.theme as Theme,
      window: this.window as Window,
      width,
      height,
      gutter: this.gutter,
      scrollTop: this.scroll.scrollTop,
      selected: this.selected,
      hovered: this.hovered,
    };
  }

  private bringIntoView(step: number): void {
    const lane = this.run?.laneOfStep[step] ?? -1;
    if (lane < 0) return;
    const [top, bottom] = [lane * LANE, (lane + 1) * LANE + AXIS];
    const { scrollTop, clientHeight } = this.scroll;
    if (top < scrollTop) this.scroll.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.scroll.scrollTop = bottom - clientHeight + 4;
  }

  /** What is under the pointer. */
  private at(event: MouseEvent): { step: number | null; mark: number | null; switchAt: number | null; x: number; y: number } {
    const box = this.scroll.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const nothing = { step: null, mark: null, switchAt: null, x, y };
    if (!this.run || !this.window) return nothing;
    const { timeline } = this.run.payload;
    if (y < AXIS) {
      const near = timeline.switches.findIndex((s) => Math.abs(this.gutter + (this.window?.x(s.offset_ms) ?? 0) - x) < 8);
      return { ...nothing, switchAt: near >= 0 ? near : null };
    }
    const lane = timeline.lanes[Math.floor((y - AXIS + this.scroll.scrollTop) / LANE)];
    if (!lane) return nothing;
    let mark: number | null = null;
    let best = 7;
    lane.marks.forEach((one, index) => {
      const from = this.gutter + (this.window?.x(one.offset_ms) ?? 0);
      const distance = Math.abs(from - x);
      if (distance < best) [best, mark] = [distance, index];
    });
    return { ...nothing, step: lane.step, mark };
  }

  private listen(signal: AbortSignal): void {
    const { scroll, element } = this;
    scroll.addEventListener("scroll", () => this.redraw(), { passive: true, signal });
    element.addEventListener(
      "wheel",
      (event) => {
        const root = element.getRootNode() as Document | ShadowRoot;
        const focused = element.contains(root.activeElement);
        if (!(event.ctrlKey || event.metaKey || (focused && event.altKey))) return;
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY / 300), this.at(event).x - this.gutter);
      },
      { passive: false, signal },
    );
    scroll.addEventListener("pointerdown", (event) => {
      element.focus({ preventScroll: true });
      this.drag = { x: event.clientX, moved: false };
    }, { signal });
    scroll.addEventListener("pointermove", (event) => this.onMove(event), { signal });
    scroll.addEventListener("pointerup", (event) => {
      const moved = this.drag?.moved;
      this.drag = null;
      scroll.classList.remove("pan");
      if (moved) return;
      const { step, mark, switchAt } = this.at(event);
      const target = switchAt !== null ? this.run?.payload.timeline.switches[switchAt]?.step ?? null : step;
      if (target !== null) this.events.onStep(target, event.ctrlKey || event.metaKey || event.shiftKey, mark);
    }, { signal });
    scroll.addEventListener("pointerleave", () => {
      this.drag = null;
      scroll.classList.remove("pan");
      this.tip.hidden = true;
      this.events.onHover(null);
    }, { signal });
    scroll.addEventListener("dblclick", () => this.fit(), { signal });
    const observer = new ResizeObserver(() => this.redraw());
    observer.observe(scroll);
    signal.addEventListener("abort", () => {
      observer.disconnect();
      cancelAnimationFrame(this.frame);
    });
  }

  private onMove(event: PointerEvent): void {
    if (this.drag && event.buttons) {
      const by = this.drag.x - event.clientX;
      if (this.drag.moved || Math.abs(by) > 4) {
        this.drag = { x: event.clientX, moved: true };
        this.scroll.classList.add("pan");
        this.window?.pan(by);
        this.tip.hidden = true;
        this.redraw();
        return;
      }
    }
    const { step, mark, switchAt, x, y } = this.at(event);
    this.scroll.style.cursor = step !== null || switchAt !== null ? "pointer" : "";
    this.events.onHover(step);
    this.showTip(this.tipLines(step, mark, switchAt), x, y);
  }

  private tipLines(step: number | null, mark: number | null, switchAt: number | null): string[] {
    const run = this.run;
    if (!run) return [];
    if (switchAt !== null) {
      const one = run.payload.timeline.switches[switchAt];
      return one ? [`Intent switch: ${one.from_step ?? "start"} → ${one.to_step}`, one.reason] : [];
    }
    if (step === null) return [];
    const row = run.step(step);
    const lines = [run.title(step), `${statusLook(row.status).word} · ${run.lane(step)?.open ? "still running" : duration(row.duration_ms)} · from ${duration(row.offset_ms)}`];
    if (row.error) lines.push(row.error.slice(0, 160));
    const one = mark === null ? undefined : run.lane(step)?.marks[mark];
    if (one) {
      const took = one.duration_ms ? ` · ${duration(one.duration_ms)}` : "";
      lines.push(`${kindLook(one.kind).word}: ${one.name}${took}${one.failed ? " · failed" : ""}`);
    }
    return lines;
  }

  private showTip(lines: string[], x: number, y: number): void {
    this.tip.hidden = !lines.length;
    if (!lines.length) return;
    this.tip.replaceChildren(...lines.map((line, i) => h(i ? "div" : "b", { text: line.slice(0, 200) })));
    const { clientWidth: width, clientHeight: height } = this.scroll;
    const [w, tall] = [this.tip.offsetWidth, this.tip.offsetHeight];
    this.tip.style.left = `${Math.max(Math.min(x + 14, width - w - 6), 4)}px`;
    this.tip.style.top = `${y + 16 + tall > height ? Math.max(y - tall - 10, 2) : y + 16}px`;
  }
}
