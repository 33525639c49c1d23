// The graph on the page: owns Cytoscape, and works round what goes wrong with it inside notebooks.

import cytoscape, { type Core } from "cytoscape";
import { button, h, icon } from "../dom";
import type { Run } from "../run";
import { ICON_FIT, ICON_GLOBAL, ICON_MINUS, ICON_PLUS } from "../status";
import type { Theme } from "../theme";
import { edgeId, indexOf, nodeId, toElements } from "./elements";
import { chooseLayout } from "./layout";
import { graphStyle } from "./style";

const PADDING = 16;
const MAX_FIT_ZOOM = 1.05;

export interface GraphEvents {
  onNode(node: number, add: boolean): void;
  onHover(node: number | null): void;
  onBackground(): void;
}

export class GraphView {
  readonly element: HTMLElement;
  readonly cy: Core;
  private readonly canvas = h("div", { class: "ftnb-canvas" });
  private readonly legend = h("div", { class: "ftnb-legend", attrs: { "aria-hidden": true } });
  private run: Run | null = null;
  private layout: "across" | "down" = "across";
  private moved = false;
  private size = "";

  constructor(private readonly events: GraphEvents, signal: AbortSignal) {
    const tools = h(
      "div",
      { class: "ftnb-tools" },
      button(icon(ICON_MINUS), () => this.zoom(1 / 1.25), { title: "Zoom out (−)", attrs: { "aria-label": "Zoom out" } }),
      button(icon(ICON_PLUS), () => this.zoom(1.25), { title: "Zoom in (+)", attrs: { "aria-label": "Zoom in" } }),
      button(icon(ICON_FIT), () => this.fit(), { title: "Show all (0)", attrs: { "aria-label": "Show the whole graph" } }),
    );
    this.element = h(
      "div",
      { class: "ftnb-graph", attrs: { tabindex: 0, role: "application" } },
      this.canvas,
      this.legend,
      tools,
    );
    this.cy = cytoscape({
      container: this.canvas,
      // A default layout measures the container, which may have no size yet, and throws.
      layout: { name: "preset" },
      autoungrabify: true,
      autounselectify: true,
      boxSelectionEnabled: false,
      userZoomingEnabled: false,
      minZoom: 0.05,
      maxZoom: 3,
    });
    this.listen(signal);
  }

  /** Draw `run`; keeps the view where it is when the graph has the same shape. */
  show(run: Run): void {
    const same = this.run !== null && shapeOf(this.run) === shapeOf(run);
    this.run = run;
    const { payload } = run;
    this.element.setAttribute(
      "aria-label",
      `Workflow graph of ${payload.engagement.name}: ${payload.nodes.length} nodes. Arrow keys move along the steps.`,
    );
    this.draw();
    if (!same) {
      this.moved = false;
      this.size = "";
      this.resize();
    }
    this.showLegend(run);
  }

  paint(theme: Theme): void {
    this.cy.style(graphStyle(theme));
    // A restyle while hidden has once left the canvas blank.
    this.cy.forceRender();
  }

  /** Mark the nodes of the selected steps, and the ways that led to the last of them and on from it. */
  select(steps: readonly number[]): void {
    const run = this.run;
    if (!run) return;
    this.cy.batch(() => {
      this.cy.elements().removeClass("chosen causal");
      for (const step of steps) this.node(run.step(step).node).addClass("chosen");
      const primary = steps.at(-1);
      if (primary === undefined) return;
      for (const cause of [...(run.causesOf[primary] ?? []), ...(run.effectsOf[primary] ?? [])]) {
        const [source, target] = [run.step(cause.source).node, run.step(cause.target).node];
        const edge = run.payload.edges.findIndex((e) => e.source === source && e.target === target);
        if (edge >= 0) this.cy.getElementById(edgeId(edge)).addClass("causal");
      }
    });
    const primary = steps.at(-1);
    if (primary !== undefined) this.bringIntoView(run.step(primary).node);
  }

  hover(node: number | null): void {
    this.cy.nodes(".hover").removeClass("hover");
    if (node !== null) this.node(node).addClass("hover");
  }

  zoom(factor: number): void {
    this.moved = true;
    const level = Math.min(Math.max(this.cy.zoom() * factor, this.cy.minZoom()), this.cy.maxZoom());
    this.cy.zoom({ level, renderedPosition: { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 } });
  }

  fit(): void {
    this.moved = false;
    this.cy.fit(undefined, PADDING);
    if (this.cy.zoom() > MAX_FIT_ZOOM) {
      this.cy.zoom(MAX_FIT_ZOOM);
      this.cy.center();
    }
  }

  private node(index: number) {
    return this.cy.getElementById(nodeId(index));
  }

  private draw(): void {
    const run = this.run;
    if (!run) return;
    const chosen = this.cy.nodes(".chosen").map((node) => node.id());
    this.cy.batch(() => {
      this.cy.elements().remove();
      this.cy.add(toElements(run.payload, run.payload.layout[this.layout]));
      for (const id of chosen) this.cy.getElementById(id).addClass("chosen");
    });
  }

  /** Fit to the container once it has a size, and again when that changes, unless the user moved the view. */
  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!this.run || width < 2 || height < 2 || this.size === `${width} ${height}`) return;
    this.size = `${width} ${height}`;
    this.cy.resize();
    if (this.moved) return;
    const layout = chooseLayout(this.run.payload.layout, width - 2 * PADDING, height - 2 * PADDING);
    if (layout !== this.layout) {
      this.layout = layout;
      this.draw();
    }
    this.fit();
  }

  private bringIntoView(index: number): void {
    const node = this.node(index);
    if (node.empty()) return;
    const box = node.renderedBoundingBox({});
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (width > 2 && (box.x1 < 0 || box.y1 < 0 || box.x2 > width || box.y2 > height)) this.cy.center(node);
  }

  private listen(signal: AbortSignal): void {
    const { cy, canvas, events } = this;
    const isAdding = (event: { originalEvent?: Event }) => {
      const original = event.originalEvent as MouseEvent | undefined;
      return Boolean(original?.ctrlKey || original?.metaKey || original?.shiftKey);
    };
    cy.on("tap", "node.step", (event) => events.onNode(indexOf(event.target.id()), isAdding(event)));
    cy.on("tap", (event) => {
      if (event.target === cy) events.onBackground();
    });
    cy.on("mouseover", "node.step", (event) => {
      const index = indexOf(event.target.id());
      canvas.title = this.run?.describeNode(index) ?? "";
      events.onHover(index);
    });
    cy.on("mouseover", "edge", (event) => {
      canvas.title = this.run?.describeEdge(indexOf(event.target.id())) ?? "";
    });
    cy.on("mouseout", "node.step, edge", () => {
      canvas.title = "";
      events.onHover(null);
    });
    cy.on("dragpan scrollzoom pinchzoom", () => {
      this.moved = true;
    });
    // Both listeners sit above Cytoscape's own, which capture on its container, so that they come first.
    // Cytoscape remembers where its container is; a cell that prints above moves it without any event.
    const forget = () => {
      (cy as unknown as { renderer(): { invalidateContainerClientCoordsCache(): void } })
        .renderer()
        .invalidateContainerClientCoordsCache();
    };
    for (const name of ["mousedown", "mousemove", "touchstart", "wheel"]) {
      this.element.addEventListener(name, forget, { capture: true, passive: true, signal });
    }
    // The page must scroll over the graph, unless the user is working in it.
    this.element.addEventListener(
      "wheel",
      (event) => {
        const root = this.element.getRootNode() as Document | ShadowRoot;
        const focused = this.element.contains(root.activeElement);
        cy.userZoomingEnabled(focused || event.ctrlKey || event.metaKey);
      },
      { capture: true, passive: true, signal },
    );
    canvas.addEventListener("mousedown", () => this.element.focus({ preventScroll: true }), { signal });
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(canvas);
    signal.addEventListener("abort", () => {
      observer.disconnect();
      cy.destroy();
    });
  }

  private showLegend({ payload }: Run): void {
    const item = (className: string, text: string) => h("span", {}, h("i", { class: className }), text);
    const { edges, nodes } = payload;
    this.legend.replaceChildren(
      ...[
        edges.some((e) => e.taken) && edges.some((e) => !e.taken) && item("taken", "taken"),
        payload.has_topology && edges.some((e) => !e.taken) && item("untaken", "declared, not taken"),
        edges.some((e) => e.taken && !e.declared) && item("undeclared", "taken, not declared"),
        nodes.some((n) => n.is_global) && h("span", {}, icon(ICON_GLOBAL), "global step"),
      ].filter((one): one is HTMLSpanElement => Boolean(one)),
    );
  }
}

function shapeOf({ payload }: Run): string {
  return JSON.stringify([payload.layout.across.nodes, payload.edges.map((edge) => [edge.source, edge.target])]);
}
