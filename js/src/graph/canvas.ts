// A graph on the page, for any scene. Cytoscape draws it, once the page has been painted: its first picture takes longer
// than all the rest of a view. Until then, and for good where there are too many nodes for it, the graph is painted without.

import cytoscape, { type Core, type EventObject } from "cytoscape";
import { h } from "../dom";
import type { Theme } from "../theme";
import { elementsOf, indexOf, nodeId } from "./elements";
import { extentOf, fitted, MARGIN } from "./extent";
import { fold, type Shown } from "./fold";
import { chooseLayout } from "./layout";
import { PlainGraph } from "./plain";
import { MANY_NODES, type Scene } from "./scene";
import { whenSeen } from "./seen";
import { graphStyle } from "./style";

/** Nodes that the list for screen readers holds. */
const MAX_LISTED = 300;

/** What stands out: nodes, edges, and nodes that keep their full colour (null: all). Indexes into the scene. */
export interface Marked {
  chosen: ReadonlySet<number>;
  causal: ReadonlySet<number>;
  kept: ReadonlySet<number> | null;
}

export interface CanvasEvents {
  onNode(node: number, add: boolean): void;
  /** Fold or unfold this subgraph. */
  onFold(group: number): void;
  onHover(node: number | null): void;
  onEdge?(edge: number): void;
  onBackground(): void;
}

export class GraphCanvas {
  readonly element = h("div", { class: "ftnb-canvas" });
  private readonly place = h("div", { class: "ftnb-cy" });
  /** The same as a list, for screen readers. */
  readonly twin = h("ul", { class: "ftnb-aloud", attrs: { "aria-label": "Nodes of the graph" } });
  /** There from the start, with nothing in it: what is put into a cell later, out of sight, may stay without a size. */
  private readonly core: Core;
  private hasTakenOver = false;
  private theme: Theme | null = null;
  private readonly plain: PlainGraph;
  private hidden: ReadonlySet<number> = new Set();
  private marked: Marked = { chosen: new Set(), causal: new Set(), kept: null };
  private scene: Scene | null = null;
  private shown: Shown | null = null;
  private folded: ReadonlySet<number> = new Set();
  private layout: "across" | "down" = "across";
  private moved = false;
  private size = "";
  private drawn = "";
  private listing: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly frame: HTMLElement, private readonly events: CanvasEvents, private readonly signal: AbortSignal) {
    this.plain = new PlainGraph(this.element, frame, events, signal);
    this.element.append(this.place, this.plain.element);
    this.core = this.start();
    this.watch();
    whenSeen(this.element, () => this.takeOver(), signal);
  }

  /** Cytoscape with the graph in it. */
  get cy(): Core {
    this.takeOver();
    return this.core;
  }

  /** Leave the graph to Cytoscape, which shows it as it was, and where it was. */
  private takeOver(): void {
    if (this.hasTakenOver || this.signal.aborted) return;
    this.hasTakenOver = true;
    const { core } = this;
    if (this.theme) core.style(graphStyle(this.theme));
    if (!this.plain.isShown || !this.shown || this.shown.nodes.length > MANY_NODES) return;
    const { zoom, pan, moved } = this.plain.viewport;
    this.drawn = "";
    this.draw();
    core.resize();
    core.viewport({ zoom, pan });
    this.moved = moved;
  }

  private start(): Core {
    const cy = cytoscape({
      container: this.place,
      // A default layout measures the container, which may have no size yet, and throws.
      layout: { name: "preset" },
      autoungrabify: true,
      autounselectify: true,
      boxSelectionEnabled: false,
      userZoomingEnabled: false,
      minZoom: 0.02,
      maxZoom: 3,
    });
    this.listenTo(cy);
    return cy;
  }

  /** Draw `scene`; keeps the view where it is when the graph has the same shape. */
  show(scene: Scene, folded: ReadonlySet<number>): void {
    const isSame = this.scene?.key === scene.key;
    this.scene = scene;
    this.folded = folded;
    if (!isSame) {
      this.moved = false;
      this.size = "";
      this.draw();
      this.resize();
    } else this.draw();
    clearTimeout(this.listing);
    // While a run is played the graph changes with every frame; nobody can listen as fast.
    if (isSame) this.listing = setTimeout(() => this.list(), 250);
    else this.list();
  }

  paint(theme: Theme): void {
    this.theme = theme;
    this.plain.paint(theme);
    if (!this.hasTakenOver) return;
    this.core.style(graphStyle(theme));
    // A restyle while hidden has once left the canvas blank.
    this.core.forceRender();
  }

  mark(marked: Marked): void {
    this.marked = marked;
    this.applyMarks();
  }

  hover(node: number | null): void {
    if (this.plain.isShown) return this.plain.hover(node === null ? null : this.standsFor(node));
    this.core.nodes(".hover").removeClass("hover");
    if (node !== null) this.node(node).addClass("hover");
  }

  /** Leave these edges of the scene out of the picture. */
  hide(edges: ReadonlySet<number>): void {
    this.hidden = edges;
    this.applyHidden();
  }

  private applyHidden(): void {
    this.plain.leaveOut(this.hidden);
    if (this.plain.isShown) return;
    this.core.batch(() => {
      this.core.edges(".rare").removeClass("rare");
      for (const edge of this.hidden) this.core.getElementById(this.edge(edge) ?? "").addClass("rare");
    });
  }

  private applyMarks(): void {
    const { chosen, causal, kept } = this.marked;
    const standing = (nodes: ReadonlySet<number>) => new Set([...nodes].map((one) => this.standsFor(one)));
    if (this.plain.isShown) return this.plain.mark({ chosen: standing(chosen), causal, kept: kept && standing(kept) });
    this.core.batch(() => {
      this.core.elements(".chosen, .causal, .dim").removeClass("chosen causal dim");
      for (const node of chosen) this.node(node).addClass("chosen");
      for (const edge of causal) this.core.getElementById(this.edge(edge) ?? "").addClass("causal");
      if (kept === null) return;
      const ids = new Set([...kept].map((node) => this.node(node).id()));
      this.core.nodes(".step").forEach((node) => void (ids.has(node.id()) || node.isParent() || node.addClass("dim")));
      this.core.edges().forEach((edge) => void ((ids.has(edge.source().id()) && ids.has(edge.target().id())) || edge.addClass("dim")));
    });
  }

  /** The outermost folded subgraph that a node lies in, or itself. */
  private standsFor(index: number): number {
    let found = index;
    for (let at = this.scene?.nodes[index]?.parent ?? null; at !== null; at = this.scene?.nodes[at]?.parent ?? null) {
      if (this.folded.has(at)) found = at;
    }
    return found;
  }

  /** The element that shows a node: itself, or the folded subgraph that it lies in. */
  node(index: number) {
    for (let at: number | null = index; at !== null; at = this.scene?.nodes[at]?.parent ?? null) {
      const found = this.core.getElementById(nodeId(at));
      if (found.nonempty()) return found;
    }
    return this.core.collection();
  }

  /** The edge that shows an edge of the scene; null where both its ends are folded into one. */
  edge(index: number): string | null {
    const found = this.shown?.edges.find((one) => one.members.includes(index));
    return found ? `e${found.members[0] ?? 0}` : null;
  }

  zoom(factor: number): void {
    if (this.plain.isShown) return this.plain.zoom(factor);
    this.moved = true;
    const level = Math.min(Math.max(this.core.zoom() * factor, this.core.minZoom()), this.core.maxZoom());
    this.core.zoom({ level, renderedPosition: { x: this.element.clientWidth / 2, y: this.element.clientHeight / 2 } });
  }

  fit(): void {
    if (this.plain.isShown) return this.plain.fit();
    if (!this.shown) return;
    this.moved = false;
    this.core.viewport(fitted(extentOf(this.shown), this.element.clientWidth, this.element.clientHeight));
  }

  bringIntoView(index: number): void {
    if (this.plain.isShown) return this.plain.bringIntoView(this.standsFor(index));
    const node = this.node(index);
    if (node.empty()) return;
    const box = node.renderedBoundingBox({});
    const { clientWidth: width, clientHeight: height } = this.element;
    if (width > 2 && (box.x1 < 0 || box.y1 < 0 || box.x2 > width || box.y2 > height)) this.core.center(node);
  }

  private draw(): void {
    const { scene } = this;
    if (!scene) return;
    const shape = `${scene.key} ${this.layout} ${[...this.folded].join()}`;
    this.shown = fold(scene, scene.layout[this.layout], this.folded);
    if (!this.hasTakenOver || this.shown.nodes.length > MANY_NODES) return this.drawPlain(scene, this.shown, shape);
    this.plain.hide();
    const elements = elementsOf(scene, this.shown);
    if (shape === this.drawn) return this.change(elements);
    const isRefolded = this.drawn !== "" && this.drawn.startsWith(`${scene.key} ${this.layout} `);
    this.drawn = shape;
    this.core.batch(() => {
      this.core.elements().remove();
      this.core.add(elements);
    });
    if (isRefolded) this.fit();
    this.applyMarks();
    this.applyHidden();
  }

  private drawPlain(scene: Scene, shown: Shown, shape: string): void {
    const isSame = shape === this.drawn;
    if (!isSame) this.core.elements().remove();
    this.drawn = shape;
    this.plain.show(scene, shown, isSame);
  }

  /** The same elements, in another state: touch only what differs. */
  private change(elements: readonly cytoscape.ElementDefinition[]): void {
    this.core.batch(() => {
      for (const { data, classes } of elements) {
        const element = this.core.getElementById(data.id ?? "");
        const fields = Object.entries(data).filter(([name, value]) => name !== "parent" && !equal(element.data(name), value));
        if (fields.length) element.data(Object.fromEntries(fields));
        const marks = ["chosen", "causal", "dim", "hover", "rare"].filter((name) => element.hasClass(name));
        const next = [...String(classes).split(" "), ...marks].filter(Boolean);
        const now = element.classes();
        if (now.length !== next.length || next.some((name) => !element.hasClass(name))) element.classes(next);
      }
    });
  }

  /** Fit to the container once it has a size, and again when that changes, unless the user moved the view. */
  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!this.scene || width < 2 || height < 2 || this.size === `${width} ${height}`) return;
    this.size = `${width} ${height}`;
    this.core.resize();
    if (this.plain.isShown ? this.plain.viewport.moved : this.moved) return this.plain.resize();
    const sizes = {
      across: fold(this.scene, this.scene.layout.across, this.folded),
      down: fold(this.scene, this.scene.layout.down, this.folded),
    };
    const layout = chooseLayout(sizes as never, width - 2 * MARGIN, height - 2 * MARGIN);
    if (layout !== this.layout) {
      this.layout = layout;
      this.drawn = "";
      this.draw();
    }
    this.fit();
  }

  private listenTo(cy: Core): void {
    const { element, events, frame, signal } = this;
    const isAdding = (event: EventObject) => {
      const original = event.originalEvent as MouseEvent | undefined;
      return Boolean(original?.ctrlKey || original?.metaKey || original?.shiftKey);
    };
    cy.on("tap", "node.step", (event) => {
      const index = indexOf(event.target.id());
      if (this.isOnSign(event)) events.onFold(index);
      else events.onNode(index, isAdding(event));
    });
    cy.on("dbltap", "node.group, node.folded", (event) => {
      if (!this.isOnSign(event)) events.onFold(indexOf(event.target.id()));
    });
    cy.on("tap", "edge", (event) => events.onEdge?.(indexOf(event.target.id())));
    cy.on("tap", (event) => {
      if (event.target === cy) events.onBackground();
    });
    cy.on("mouseover", "node.step", (event) => {
      const index = indexOf(event.target.id());
      element.title = this.scene?.nodes[index]?.text ?? "";
      events.onHover(index);
    });
    cy.on("mouseover", "edge", (event) => {
      const members = this.shown?.edges.find((one) => `e${one.members[0]}` === event.target.id())?.members ?? [];
      element.title = members.slice(0, 12).map((one) => this.scene?.edges[one]?.text ?? "").join("\n");
    });
    cy.on("mouseout", "node.step, edge", () => {
      element.title = "";
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
      frame.addEventListener(name, forget, { capture: true, passive: true, signal });
    }
    // The page must scroll over the graph, unless the user is working in it.
    frame.addEventListener(
      "wheel",
      (event) => {
        const root = frame.getRootNode() as Document | ShadowRoot;
        const focused = frame.contains(root.activeElement);
        cy.userZoomingEnabled(focused || event.ctrlKey || event.metaKey);
      },
      { capture: true, passive: true, signal },
    );
  }

  private watch(): void {
    const { element, frame, signal } = this;
    element.addEventListener("mousedown", () => frame.focus({ preventScroll: true }), { signal });
    const sizes = new ResizeObserver(() => this.resize());
    sizes.observe(element);
    signal.addEventListener("abort", () => {
      sizes.disconnect();
      clearTimeout(this.listing);
      this.core.destroy();
    });
  }

  /** Whether the pointer is on the sign that folds or unfolds (see pictures.ts for where that is). */
  private isOnSign(event: EventObject): boolean {
    const node = event.target;
    if (!node.hasClass("group") && !node.hasClass("folded")) return false;
    const box = node.boundingBox({ includeLabels: false, includeOverlays: false, includeUnderlays: false });
    const { x, y } = event.position;
    const reach = 24;
    return node.hasClass("group") ? x < box.x1 + 12 + reach && y < box.y1 + 12 + reach : x > box.x2 - 12 - reach;
  }

  private list(): void {
    const { scene } = this;
    if (!scene) return;
    const steps = scene.nodes.map((node, index) => ({ node, index })).filter(({ node }) => node.classes.includes("step"));
    const ways = new Map<number, string[]>();
    if (scene.nodes.length <= MANY_NODES) {
      for (const edge of scene.edges) {
        const target = scene.nodes[edge.target];
        if (edge.classes.includes("taken")) ways.set(edge.source, [...(ways.get(edge.source) ?? []), target?.label || "the end"]);
      }
    }
    const lines = steps.slice(0, MAX_LISTED).map(({ node, index }) => {
      const to = ways.get(index);
      return `${node.text.replaceAll("\n", ", ")}${to ? `; led to ${to.join(", ")}` : ""}`;
    });
    if (steps.length > MAX_LISTED) lines.push(`and ${steps.length - MAX_LISTED} more`);
    this.twin.replaceChildren(...lines.map((text) => h("li", { text })));
  }
}

function equal(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === "object" && JSON.stringify(a) === JSON.stringify(b));
}
