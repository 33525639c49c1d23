// The whole run in a strip, with the part that is on the screen: to see where one is, and to go elsewhere.

import { h } from "../dom";
import { mix, type Theme } from "../theme";
import type { Stretch } from "./draw";
import type { Rows } from "./rows";
import { type TimeScale, Window } from "./scale";

export const MINIMAP = 34;
/** In px round the edges of the window, where dragging resizes it. */
const GRIP = 6;

export interface Density {
  /** Steps that were running, by pixel. */
  running: Float32Array;
  /** Steps that fail, by pixel. */
  failing: Uint32Array;
}

/** How much went on in each pixel of the whole run. Pure. */
export function densityOf(rows: Rows, scale: TimeScale, width: number): Density {
  const n = Math.max(Math.ceil(width), 1);
  const whole = new Window(scale, n);
  const change = new Float32Array(n + 1);
  const failing = new Uint32Array(n);
  for (let i = 0; i < rows.step.length; i++) {
    const from = Math.min(Math.max(Math.floor(whole.x(rows.from[i] ?? 0)), 0), n - 1);
    const to = Math.min(Math.max(Math.ceil(whole.x(rows.to[i] ?? 0)), from + 1), n);
    change[from] = (change[from] ?? 0) + 1;
    change[to] = (change[to] ?? 0) - 1;
    if ((rows.failing[i + 1] ?? 0) > (rows.failing[i] ?? 0)) failing[from] = (failing[from] ?? 0) + 1;
  }
  const running = new Float32Array(n);
  let sum = 0;
  for (let x = 0; x < n; x++) {
    sum += change[x] ?? 0;
    running[x] = sum;
  }
  return { running, failing };
}

export class Minimap {
  readonly element: HTMLElement;
  private readonly canvas = h("canvas");
  /** All but the window, which moves. */
  private picture: HTMLCanvasElement | null = null;
  private drag: { kind: "move" | "left" | "right" | "new"; from: number; left: number; right: number } | null = null;
  private window: Window | null = null;
  private gutter = 0;

  constructor(private readonly onWindow: (left: number, right: number) => void, signal: AbortSignal) {
    this.element = h("div", { class: "ftnb-minimap", title: "The whole run. Drag to choose what the timeline shows; double click shows all.", attrs: { "aria-hidden": true } }, this.canvas);
    this.element.addEventListener("pointerdown", (event) => this.begin(event), { signal });
    this.element.addEventListener("pointermove", (event) => this.move(event), { signal });
    this.element.addEventListener("pointerup", () => (this.drag = null), { signal });
    this.element.addEventListener("dblclick", () => this.window && this.onWindow(0, this.window.scale.length), { signal });
  }

  /** The rows, the colours or the size changed. */
  prepare(rows: Rows, scale: TimeScale, stretches: readonly Stretch[], theme: Theme, width: number, gutter: number): void {
    const ratio = globalThis.devicePixelRatio || 1;
    this.gutter = gutter;
    this.canvas.width = Math.round((width + gutter) * ratio);
    this.canvas.height = Math.round(MINIMAP * ratio);
    this.canvas.style.width = `${width + gutter}px`;
    this.canvas.style.height = `${MINIMAP}px`;
    const picture = document.createElement("canvas");
    [picture.width, picture.height] = [this.canvas.width, this.canvas.height];
    const context = picture.getContext("2d");
    if (!context) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    drawDensity(context, densityOf(rows, scale, width), new Window(scale, width), stretches, theme, gutter);
    this.picture = picture;
  }

  draw(window: Window, theme: Theme, cursor: number | null): void {
    this.window = window;
    const context = this.canvas.getContext("2d");
    if (!context || !this.picture) return;
    const ratio = globalThis.devicePixelRatio || 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.picture, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const [left, right] = [this.x(window.left), this.x(window.right)];
    context.fillStyle = theme.color.bg;
    context.globalAlpha = 0.62;
    context.fillRect(this.gutter, 0, left - this.gutter, MINIMAP);
    context.fillRect(right, 0, this.gutter + window.width - right, MINIMAP);
    context.globalAlpha = 1;
    context.strokeStyle = theme.color.soft;
    context.lineWidth = 1.5;
    context.strokeRect(left + 0.75, 1, Math.max(right - left - 1.5, 3), MINIMAP - 2);
    context.fillStyle = theme.color.soft;
    for (const x of [left, right]) context.fillRect(x - 2, MINIMAP / 2 - 6, 4, 12);
    if (cursor !== null) {
      context.fillStyle = theme.color.fg;
      context.fillRect(this.x(window.scale.unit(cursor)) - 0.75, 0, 1.5, MINIMAP);
    }
  }

  private x(unit: number): number {
    const { scale, width } = this.window as Window;
    return this.gutter + (Math.min(Math.max(unit, 0), scale.length) / scale.length) * width;
  }

  private unitAt(event: PointerEvent): number {
    const { scale, width } = this.window as Window;
    const x = event.clientX - this.canvas.getBoundingClientRect().left - this.gutter;
    return (Math.min(Math.max(x, 0), width) / width) * scale.length;
  }

  private begin(event: PointerEvent): void {
    if (!this.window || event.button !== 0) return;
    const { left, right, isWhole } = this.window;
    const x = event.clientX - this.canvas.getBoundingClientRect().left;
    const near = (unit: number) => Math.abs(this.x(unit) - x) <= GRIP;
    const inside = x > this.x(left) && x < this.x(right) && !isWhole;
    const kind = near(left) && !isWhole ? "left" : near(right) && !isWhole ? "right" : inside ? "move" : "new";
    this.drag = { kind, from: this.unitAt(event), left, right };
    this.element.setPointerCapture(event.pointerId);
    event.preventDefault();
  }

  private move(event: PointerEvent): void {
    if (!this.window || !this.drag || !event.buttons) return;
    const { kind, from, left, right } = this.drag;
    const unit = this.unitAt(event);
    if (kind === "move") this.onWindow(left + unit - from, right + unit - from);
    else if (kind === "new") {
      if (Math.abs(this.x(unit) - this.x(from)) > 3) this.onWindow(Math.min(from, unit), Math.max(from, unit));
    } else if (kind === "left") this.onWindow(Math.min(unit, right), Math.max(unit, right));
    else this.onWindow(Math.min(left, unit), Math.max(left, unit));
  }
}

function drawDensity(
  context: CanvasRenderingContext2D, { running, failing }: Density, window: Window, stretches: readonly Stretch[], theme: Theme,
  gutter: number,
): void {
  const { color } = theme;
  context.font = `11px ${theme.font}`;
  context.textBaseline = "middle";
  context.fillStyle = color.soft;
  context.fillText("whole run", 8, MINIMAP / 2);
  for (const stretch of stretches) {
    const [a, b] = [gutter + window.x(stretch.from), gutter + window.x(stretch.to)];
    context.fillStyle = mix(stretch.human ? color.waiting : color.muted, color.bg, 0.22);
    context.fillRect(a, 0, b - a, MINIMAP);
  }
  const most = running.reduce((a, b) => Math.max(a, b), 1);
  context.fillStyle = mix(color.done, color.bg, 0.55);
  running.forEach((n, x) => {
    const tall = n > 0 ? 3 + (n / most) * (MINIMAP - 11) : 0;
    context.fillRect(gutter + x, MINIMAP - tall, 1, tall);
  });
  context.fillStyle = color.failed;
  failing.forEach((n, x) => n && context.fillRect(gutter + x - 0.5, 0, 2, 7));
}
