// A graph, painted by ourselves: at once, while Cytoscape starts, and for good where there are thousands of nodes, for
// which it would take seconds.

import { h } from "../dom";
import { statusLook } from "../status";
import { type ColorName, mix, type Theme } from "../theme";
import type { Marked } from "./canvas";
import { extentOf, fitted, type Viewport } from "./extent";
import type { Shown, ShownNode } from "./fold";
import { MANY_NODES, type Scene } from "./scene";

const [NEAREST, FARTHEST] = [3, 0.005];
/** Zoom from which on labels, and arrows, can be made out. */
const [LABELS, ARROWS] = [0.5, 0.25];

interface Look {
  fill: string;
  line: string;
  width: number;
  alpha: number;
}

export interface PlainEvents {
  onNode(node: number, add: boolean): void;
  onFold(group: number): void;
  onHover(node: number | null): void;
}

export class PlainGraph {
  readonly element = h("canvas", { class: "ftnb-plain", attrs: { hidden: true, "aria-hidden": true } });
  private scene: Scene | null = null;
  private shown: Shown | null = null;
  private theme: Theme | null = null;
  private marked: Marked = { chosen: new Set(), causal: new Set(), kept: null };
  private hovered: number | null = null;
  private zoomed = 1;
  private x = 0;
  private y = 0;
  private frame = 0;
  private readonly looks = new Map<string, Look>();
  private hidden: ReadonlySet<number> = new Set();
  private moved = false;
  private drag: { x: number; y: number; moved: boolean } | null = null;

  constructor(private readonly box: HTMLElement, focus: HTMLElement, private readonly events: PlainEvents, signal: AbortSignal) {
    const { element } = this;
    element.addEventListener("pointerdown", (event) => {
      this.drag = { x: event.clientX, y: event.clientY, moved: false };
      focus.focus({ preventScroll: true });
    }, { signal });
    element.addEventListener("pointermove", (event) => this.onMove(event), { signal });
    element.addEventListener("pointerup", (event) => this.onUp(event), { signal });
    element.addEventListener("pointerleave", () => this.point(null), { signal });
    element.addEventListener("wheel", (event) => {
      const root = focus.getRootNode() as Document | ShadowRoot;
      if (!focus.contains(root.activeElement) && !event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const place = element.getBoundingClientRect();
      this.zoomAt(Math.exp(-event.deltaY / 400), event.clientX - place.left, event.clientY - place.top);
    }, { passive: false, signal });
    signal.addEventListener("abort", () => cancelAnimationFrame(this.frame));
  }

  show(scene: Scene, shown: Shown, isSame: boolean): void {
    this.scene = scene;
    this.shown = shown;
    this.element.hidden = false;
    if (!this.element.parentElement) this.box.append(this.element);
    if (!isSame) this.fit();
    this.redraw();
  }

  hide(): void {
    this.element.hidden = true;
    // Taken away, and not only hidden: JupyterLab's cells have been seen to give it the next click all the same.
    this.element.remove();
    this.shown = null;
  }

  get isShown(): boolean {
    return this.shown !== null;
  }

  /** Where it is, and whether the user moved it there. */
  get viewport(): Viewport & { moved: boolean } {
    return { zoom: this.zoomed, pan: { x: this.x, y: this.y }, moved: this.moved };
  }

  /** Few enough to be painted as Cytoscape will. */
  private get isFine(): boolean {
    return (this.shown?.nodes.length ?? 0) <= MANY_NODES;
  }

  leaveOut(edges: ReadonlySet<number>): void {
    this.hidden = edges;
    this.redraw();
  }

  paint(theme: Theme): void {
    this.theme = theme;
    this.looks.clear();
    this.redraw();
  }

  mark(marked: Marked): void {
    this.marked = marked;
    this.redraw();
  }

  hover(node: number | null): void {
    this.hovered = node;
    this.redraw();
  }

  zoom(factor: number): void {
    this.zoomAt(factor, this.box.clientWidth / 2, this.box.clientHeight / 2);
  }

  fit(): void {
    if (!this.shown) return;
    this.moved = false;
    const { zoom, pan } = fitted(extentOf(this.shown), this.box.clientWidth, this.box.clientHeight);
    [this.zoomed, this.x, this.y] = [zoom, pan.x, pan.y];
    this.redraw();
  }

  /** The place has another size. */
  resize(): void {
    if (!this.moved) this.fit();
    this.redraw();
  }

  bringIntoView(node: number): void {
    const found = this.shown?.nodes.find((one) => one.index === node);
    if (!found) return;
    const [x, y] = [found.x * this.zoomed + this.x, found.y * this.zoomed + this.y];
    const { clientWidth: width, clientHeight: height } = this.box;
    if (x > 10 && y > 10 && x < width - 10 && y < height - 10) return;
    this.x += width / 2 - x;
    this.y += height / 2 - y;
    this.redraw();
  }

  private zoomAt(factor: number, x: number, y: number): void {
    const next = Math.min(Math.max(this.zoomed * factor, FARTHEST), NEAREST);
    this.x = x - ((x - this.x) / this.zoomed) * next;
    this.y = y - ((y - this.y) / this.zoomed) * next;
    this.zoomed = next;
    this.moved = true;
    this.redraw();
  }

  private redraw(): void {
    if (!this.frame && this.shown) this.frame = requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    this.frame = 0;
    const { clientWidth: width, clientHeight: height } = this.box;
    const context = this.element.getContext("2d");
    if (!context || !this.theme || !this.shown || !this.scene || width < 2 || height < 2) return;
    const ratio = globalThis.devicePixelRatio || 1;
    if (this.element.width !== Math.round(width * ratio) || this.element.height !== Math.round(height * ratio)) {
      [this.element.width, this.element.height] = [Math.round(width * ratio), Math.round(height * ratio)];
      this.element.style.width = `${width}px`;
      this.element.style.height = `${height}px`;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.setTransform(ratio * this.zoomed, 0, 0, ratio * this.zoomed, ratio * this.x, ratio * this.y);
    const inSight = this.inSight(width, height);
    // A way to a group ends where the group begins, which hides the rest of it.
    this.drawEdges(context, this.theme, true);
    this.drawBoxes(context, this.theme, inSight.filter((node) => node.kind === "group"));
    this.drawEdges(context, this.theme, false);
    this.drawBoxes(context, this.theme, inSight.filter((node) => node.kind !== "group"));
    this.drawTexts(context, this.theme, inSight);
  }

  /** Edges that look alike are one path. */
  private drawEdges(context: CanvasRenderingContext2D, theme: Theme, toGroups: boolean): void {
    const { scene, shown, marked } = this;
    const places = new Map(shown?.nodes.map((node) => [node.index, node]));
    const [paths, heads] = [new Map<string, Path2D>(), new Map<string, Path2D>()];
    for (const edge of shown?.edges ?? []) {
      const [from, to] = [places.get(edge.source), places.get(edge.target)];
      if (!from || !to || (from.kind === "group" || to.kind === "group") !== toGroups || edge.members.every((one) => this.hidden.has(one))) continue;
      const classes = edge.members.flatMap((one) => scene?.edges[one]?.classes ?? []);
      const isKept = marked.kept === null || (marked.kept.has(edge.source) && marked.kept.has(edge.target));
      const look = edge.members.some((one) => marked.causal.has(one)) ? "causal" : !isKept ? "untaken"
        : classes.includes("fatal") ? "fatal" : !classes.includes("taken") ? "untaken" : classes.includes("undeclared") ? "undeclared" : "taken";
      const path = paths.get(look) ?? new Path2D();
      paths.set(look, path);
      if (from === to) {
        loop(path, from);
        continue;
      }
      trace(path, from, to, edge.bends, this.isFine);
      if (this.zoomed < ARROWS) continue;
      const tips = heads.get(look) ?? new Path2D();
      heads.set(look, tips);
      arrow(tips, from, to, edge.bends);
    }
    const { color } = theme;
    const looks: Array<[string, string, number, number[]]> = [
      ["untaken", mix(color.muted, color.bg, this.isFine ? 0.55 : 0.45), this.isFine ? 1.2 : 1, [2, 4]],
      ["taken", mix(color.soft, color.bg, 0.75), 1.6, []],
      ["undeclared", color.failed, 1.6, [7, 4]],
      ["fatal", color.failed, 3.2, []],
      ["causal", color.selected, 3, []],
    ];
    // Thinner than a pixel they would be lost, however far away.
    const least = 0.7 / this.zoomed;
    for (const [look, ink, width, dash] of looks) {
      const path = paths.get(look);
      if (!path) continue;
      context.strokeStyle = ink;
      context.lineWidth = Math.max(width, least);
      context.setLineDash(this.zoomed >= ARROWS ? dash : []);
      context.stroke(path);
      const tips = heads.get(look);
      if (!tips) continue;
      context.fillStyle = ink;
      context.fill(tips);
    }
    context.setLineDash([]);
  }

  private inSight(width: number, height: number): ShownNode[] {
    const { shown, zoomed } = this;
    const [left, top] = [-this.x / zoomed, -this.y / zoomed];
    const [right, bottom] = [left + width / zoomed, top + height / zoomed];
    return (shown?.nodes ?? []).filter((node) =>
      node.x + node.width > left && node.x - node.width < right && node.y + node.height > top && node.y - node.height < bottom);
  }

  private drawBoxes(context: CanvasRenderingContext2D, theme: Theme, nodes: readonly ShownNode[]): void {
    const { marked, zoomed } = this;
    const paths = new Map<Look, Path2D>();
    for (const node of nodes) {
      const look = this.lookOf(node, theme);
      const path = paths.get(look) ?? new Path2D();
      paths.set(look, path);
      this.outline(path, node, 0);
    }
    for (const [{ fill, line, width: stroke, alpha }, path] of paths) {
      context.globalAlpha = alpha;
      context.fillStyle = fill;
      context.fill(path);
      context.strokeStyle = line;
      context.lineWidth = Math.max(stroke, 0.8 / zoomed);
      context.stroke(path);
    }
    context.globalAlpha = 1;
    for (const node of nodes) {
      if (!marked.chosen.has(node.index) && this.hovered !== node.index) continue;
      const path = new Path2D();
      this.outline(path, node, 4 / Math.min(zoomed, 1));
      context.strokeStyle = marked.chosen.has(node.index) ? theme.color.selected : theme.color.soft;
      context.lineWidth = Math.max(4, 2.5 / zoomed);
      context.stroke(path);
    }
  }

  private drawTexts(context: CanvasRenderingContext2D, theme: Theme, nodes: readonly ShownNode[]): void {
    const { scene } = this;
    if (this.zoomed < LABELS) return;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.font = `13px ${theme.font}`;
    for (const node of nodes) {
      const one = scene?.nodes[node.index];
      if (!one?.classes.includes("step")) continue;
      const text = node.hides ? `${one.label} (${node.hides})` : one.label;
      const y = node.kind === "group" ? node.y - node.height / 2 + 14 : node.y;
      context.fillStyle = one.classes.includes("visited") ? theme.color.fg : theme.color.soft;
      context.fillText(text.length > 24 ? `${text.slice(0, 23)}…` : text, node.x + 6, y, node.width - 28);
      if (node.kind !== "group") this.drawSign(context, theme, node, one.status);
      const badge = [one.badge, one.note].filter(Boolean).join(" ");
      if (badge && node.kind !== "group") this.drawBadge(context, theme, node, badge, this.colorOf(one.status, theme));
    }
  }

  private drawBadge(context: CanvasRenderingContext2D, theme: Theme, node: ShownNode, text: string, ink: string): void {
    const [x, y, width] = [node.x + node.width / 2 - 3, node.y - node.height / 2 - 1, 9 + text.length * 5.2];
    context.fillStyle = ink;
    context.beginPath();
    context.roundRect(x - width / 2, y - 7, width, 14, 7);
    context.fill();
    context.fillStyle = theme.color.bg;
    context.font = `bold 9px ${theme.font}`;
    context.fillText(text, x, y + 0.5);
    context.font = `13px ${theme.font}`;
  }

  private colorOf(status: string | null, { color }: Theme): string {
    return color[statusLook(status).color.replace("--ftnb-", "") as ColorName] ?? color.muted;
  }

  private drawSign(context: CanvasRenderingContext2D, theme: Theme, node: ShownNode, status: string): void {
    if (status === "none") return;
    context.save();
    context.translate(node.x - node.width / 2 + 6, node.y - 7);
    context.scale(0.875, 0.875);
    context.lineWidth = 2.2;
    context.strokeStyle = this.colorOf(status, theme);
    context.stroke(new Path2D(statusLook(status).path));
    context.restore();
  }

  /** Looks are few, and mixing colours takes longer than painting them. */
  private lookOf(shown: ShownNode, theme: Theme): Look {
    const node = this.scene?.nodes[shown.index];
    const isDim = this.marked.kept !== null && !this.marked.kept.has(shown.index);
    const key = `${shown.kind} ${isDim} ${node?.status} ${node?.heat === null ? "" : Math.round((node?.heat ?? 0) * 40)} ${node?.classes.join()}`;
    const known = this.looks.get(key) ?? this.makeLook(shown, theme);
    this.looks.set(key, known);
    return known;
  }

  private makeLook(shown: ShownNode, theme: Theme): Look {
    const { color, dark } = theme;
    const node = this.scene?.nodes[shown.index];
    const has = (name: string) => node?.classes.includes(name) ?? false;
    const alpha = this.marked.kept !== null && !this.marked.kept.has(shown.index) ? 0.22 : 1;
    if (shown.kind === "group") return { fill: mix(color.panel, color.bg, 0.6), line: has("visited") && this.isFine ? this.colorOf(node?.status ?? null, theme) : color.line, width: 1.5, alpha };
    if (!has("step")) return { fill: has("end") ? color.bg : color.muted, line: color.muted, width: has("end") ? 2.5 : 1, alpha };
    if (has("failing")) return { fill: mix(color.failed, color.bg, this.isFine ? 0.1 : 0.35), line: color.failed, width: this.isFine ? 3 : 4, alpha };
    if (!has("visited")) return { fill: color.bg, line: mix(color.muted, color.bg, 0.6), width: 1, alpha };
    if (node?.heat !== null && node?.heat !== undefined) {
      return { fill: mix(color.llm, color.bg, Math.round(Math.sqrt(Math.abs(node.heat)) * 12) / 12 * 0.62), line: color.soft, width: 1.2, alpha };
    }
    const own = this.colorOf(node?.status ?? null, theme);
    return { fill: mix(own, color.bg, (dark ? 0.2 : 0.1) + (this.isFine ? 0 : 0.15)), line: own, width: 1.5, alpha };
  }

  /** The outline of a node, `more` px larger; never so small that it cannot be seen. */
  private outline(path: Path2D, node: ShownNode, more: number): void {
    const least = 2 / this.zoomed;
    // Cytoscape draws a group round what is in it, and round the badges of that.
    const [across, down] = this.isFine && node.kind === "group" ? [26, 9] : [0, 0];
    const [w, tall] = [Math.max(node.width + across + 2 * more, least), Math.max(node.height + down + 2 * more, least)];
    if (node.kind === "leaf" && !this.scene?.nodes[node.index]?.classes.includes("step")) path.ellipse(node.x, node.y, w / 2, tall / 2, 0, 0, 7);
    else if (this.zoomed < ARROWS) path.rect(node.x - w / 2, node.y - tall / 2, w, tall);
    else path.roundRect(node.x - w / 2, node.y - tall / 2, w, tall, 8);
  }

  private at(event: MouseEvent): ShownNode | null {
    const place = this.element.getBoundingClientRect();
    const [x, y] = [(event.clientX - place.left - this.x) / this.zoomed, (event.clientY - place.top - this.y) / this.zoomed];
    const reach = 3 / this.zoomed;
    const hit = (this.shown?.nodes ?? []).filter((node) =>
      Math.abs(node.x - x) <= node.width / 2 + reach && Math.abs(node.y - y) <= node.height / 2 + reach && this.scene?.nodes[node.index]?.classes.includes("step"));
    return hit.find((node) => node.kind !== "group") ?? hit.at(-1) ?? null;
  }

  private onMove(event: PointerEvent): void {
    const { drag } = this;
    if (drag && event.buttons) {
      const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
      if (drag.moved || Math.hypot(dx, dy) > 4) {
        if (!drag.moved) this.element.setPointerCapture(event.pointerId);
        [drag.x, drag.y, drag.moved, this.moved] = [event.clientX, event.clientY, true, true];
        this.x += dx;
        this.y += dy;
        this.redraw();
        return;
      }
    }
    this.point(this.at(event)?.index ?? null);
  }

  private point(node: number | null): void {
    if (node === this.hovered) return;
    this.element.title = node === null ? "" : (this.scene?.nodes[node]?.text ?? "");
    this.hover(node);
    this.events.onHover(node);
  }

  private onUp(event: PointerEvent): void {
    const { drag } = this;
    this.drag = null;
    if (drag?.moved || event.button !== 0) return;
    const node = this.at(event);
    if (!node) return;
    if (node.kind === "folded" && event.detail > 1) this.events.onFold(node.index);
    else this.events.onNode(node.index, event.ctrlKey || event.metaKey || event.shiftKey);
  }
}

/** The way from one node to another: straight from bend to bend, or as the curve that Cytoscape draws. */
function trace(path: Path2D, from: ShownNode, to: ShownNode, bends: readonly number[], isCurved: boolean): void {
  path.moveTo(from.x, from.y);
  for (let i = 0; i + 1 < bends.length; i += 2) {
    const [x = 0, y = 0, nextX, nextY] = bends.slice(i, i + 4);
    if (!isCurved) path.lineTo(x, y);
    else if (nextX === undefined || nextY === undefined) path.quadraticCurveTo(x, y, to.x, to.y);
    else path.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
  }
  if (!isCurved || bends.length < 2) path.lineTo(to.x, to.y);
}

/** A way from a node to itself, at its upper left corner. */
function loop(path: Path2D, node: ShownNode): void {
  const [x, y] = [node.x - node.width / 2 + 8, node.y - node.height / 2];
  path.moveTo(x - 8, y + 10);
  path.bezierCurveTo(x - 34, y - 6, x - 6, y - 32, x + 4, y);
}

/** The head of an arrow, at the border of the node that it leads to. */
function arrow(path: Path2D, from: ShownNode, to: ShownNode, bends: readonly number[]): void {
  const [x0, y0] = bends.length > 1 ? [bends.at(-2) ?? 0, bends.at(-1) ?? 0] : [from.x, from.y];
  const [dx, dy] = [to.x - x0, to.y - y0];
  const reach = Math.max(Math.abs(dx) / (to.width / 2), Math.abs(dy) / (to.height / 2), 1e-6);
  const [x, y] = [to.x - dx / reach, to.y - dy / reach];
  const angle = Math.atan2(dy, dx);
  path.moveTo(x, y);
  for (const turn of [2.75, -2.75]) path.lineTo(x + 8 * Math.cos(angle + turn), y + 8 * Math.sin(angle + turn));
  path.closePath();
}
