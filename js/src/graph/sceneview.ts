// A graph of any scene on the page, with one node or edge selected. The graph of one run has a view of its own.

import { button, h, icon } from "../dom";
import { ICON_FIT, ICON_GLOBAL, ICON_MINUS, ICON_PLUS } from "../status";
import type { Theme } from "../theme";
import { GraphCanvas } from "./canvas";
import { groupsOf } from "./fold";
import type { Scene } from "./scene";

export interface SceneEvents {
  onNode(node: number): void;
  onEdge(edge: number): void;
  onHover(node: number | null): void;
}

export class SceneView {
  readonly element: HTMLElement;
  readonly twin: HTMLElement;
  /** For controls of the caller, at the foot. */
  readonly looks = h("div", { class: "ftnb-looks" });
  readonly canvas: GraphCanvas;
  private readonly legend = h("div", { class: "ftnb-legend", attrs: { "aria-hidden": true } });
  private readonly folded = new Set<number>();
  private scene: Scene | null = null;

  constructor(events: SceneEvents, signal: AbortSignal) {
    const tool = (path: string, label: string, act: () => void) => button(icon(path), act, { title: label, attrs: { "aria-label": label } });
    this.element = h("div", { class: "ftnb-graph", attrs: { tabindex: 0, role: "application" } });
    this.canvas = new GraphCanvas(this.element, {
      onNode: (node) => events.onNode(node),
      onFold: (group) => this.toggle(group),
      onHover: events.onHover,
      onEdge: events.onEdge,
      onBackground: () => {},
    }, signal);
    this.twin = this.canvas.twin;
    const tools = h(
      "div", { class: "ftnb-tools" },
      tool(ICON_MINUS, "Zoom out", () => this.canvas.zoom(1 / 1.25)),
      tool(ICON_PLUS, "Zoom in", () => this.canvas.zoom(1.25)),
      tool(ICON_FIT, "Show the whole graph", () => this.canvas.fit()),
    );
    this.element.append(this.canvas.element, h("div", { class: "ftnb-foot" }, this.legend, this.looks), tools);
  }

  show(scene: Scene): void {
    this.scene = scene;
    this.element.setAttribute("aria-label", scene.title);
    const groups = new Set(groupsOf(scene));
    for (const one of this.folded) if (!groups.has(one)) this.folded.delete(one);
    this.canvas.show(scene, new Set(this.folded));
    this.legend.replaceChildren(
      ...scene.legend.map(({ sign, text }) => h("span", {}, sign === "global" ? icon(ICON_GLOBAL) : sign ? h("i", { class: sign }) : null, text)),
    );
  }

  paint(theme: Theme): void {
    this.canvas.paint(theme);
  }

  select(node: number | null, edge: number | null = null): void {
    this.canvas.mark({ chosen: new Set(node === null ? [] : [node]), causal: new Set(edge === null ? [] : [edge]), kept: null });
    if (node !== null) this.canvas.bringIntoView(node);
  }

  /** Leave these edges out of the picture. */
  hide(edges: ReadonlySet<number>): void {
    this.canvas.hide(edges);
  }

  private toggle(group: number): void {
    if (!this.folded.delete(group)) this.folded.add(group);
    if (this.scene) this.show(this.scene);
  }
}
