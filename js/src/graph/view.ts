// The graph of one run on the page.

import type { Core } from "cytoscape";
import { h } from "../dom";
import { momentAt } from "../playback";
import type { Run } from "../run";
import type { Theme } from "../theme";
import { GraphCanvas } from "./canvas";
import { Controls } from "./controls";
import { groupsOf } from "./fold";
import { type GraphState, METRICS, metricsOf } from "./metrics";
import { sceneOfRun } from "./runscene";
import type { Scene } from "./scene";

/** From so many nodes on, subgraphs are shown folded at first. */
const FOLD_FROM = 60;

export interface GraphEvents {
  onNode(node: number, add: boolean): void;
  onHover(node: number | null): void;
  onBackground(): void;
  /** The user set how the graph is shown. */
  onState?(state: GraphState): void;
}

export class GraphView {
  readonly element: HTMLElement;
  readonly twin: HTMLElement;
  readonly canvas: GraphCanvas;
  private readonly controls: Controls;
  private run: Run | null = null;
  private scene: Scene | null = null;
  private state: GraphState = { color: null, size: null, folded: null };
  private selected: readonly number[] = [];
  private marked: ReadonlySet<number> | null = null;
  private ms: number | null = null;

  constructor(private readonly events: GraphEvents, signal: AbortSignal) {
    this.controls = new Controls({
      onColor: (color) => this.setState({ ...this.state, color }),
      onSize: (size) => this.setState({ ...this.state, size }),
      onFold: (all) => this.setState({ ...this.state, folded: all ? this.groups().map((one) => this.nameOf(one)) : [] }),
      onZoom: (factor) => this.zoom(factor),
      onFit: () => this.fit(),
    });
    this.element = h("div", { class: "ftnb-graph", attrs: { tabindex: 0, role: "application" } });
    this.canvas = new GraphCanvas(this.element, {
      onNode: events.onNode,
      onHover: events.onHover,
      onBackground: events.onBackground,
      onFold: (group) => this.toggle(group),
    }, signal);
    this.twin = this.canvas.twin;
    this.element.append(this.canvas.element, this.controls.foot, this.controls.tools);
  }

  get cy(): Core {
    return this.canvas.cy;
  }

  /** Draw `run`; keeps the view where it is when the graph has the same shape. */
  show(run: Run): void {
    this.run = run;
    this.draw();
  }

  paint(theme: Theme): void {
    this.canvas.paint(theme);
  }

  /** Show the run as of `ms`; null: all of it. */
  at(ms: number | null): void {
    if (ms === this.ms) return;
    this.ms = ms;
    this.draw();
  }

  /** Show how the user had set it; what is not understood is left as it is. */
  restore(state: unknown): void {
    if (typeof state !== "object" || state === null) return;
    const { color, size, folded } = state as Partial<GraphState>;
    const known = (value: unknown) => METRICS.find((one) => one === value) ?? null;
    const next: GraphState = {
      color: known(color),
      size: known(size),
      folded: Array.isArray(folded) ? folded.filter((one) => typeof one === "string") : null,
    };
    if (JSON.stringify(next) === JSON.stringify(this.state)) return;
    this.state = next;
    this.draw();
  }

  /** Mark the nodes of the selected steps, and the ways that led to the last of them and on from it. */
  select(steps: readonly number[]): void {
    this.selected = steps;
    this.markAll();
    const primary = steps.at(-1);
    if (this.run && primary !== undefined) this.canvas.bringIntoView(this.run.step(primary).node);
  }

  /** Keep the nodes of these steps, and what leads from one to another, in full colour; null: everything. */
  mark(steps: ReadonlySet<number> | null): void {
    this.marked = steps;
    this.markAll();
  }

  hover(node: number | null): void {
    this.canvas.hover(node);
  }

  zoom(factor: number): void {
    this.canvas.zoom(factor);
  }

  fit(): void {
    this.canvas.fit();
  }

  private setState(state: GraphState): void {
    this.state = state;
    this.draw();
    this.events.onState?.(state);
  }

  private toggle(group: number): void {
    const folded = new Set([...this.folded()].map((one) => this.nameOf(one)));
    const name = this.nameOf(group);
    if (!folded.delete(name)) folded.add(name);
    this.setState({ ...this.state, folded: [...folded] });
  }

  private groups(): number[] {
    return this.scene ? groupsOf(this.scene) : [];
  }

  private nameOf(node: number): string {
    return this.run?.payload.nodes[node]?.name ?? "";
  }

  private folded(): Set<number> {
    const groups = this.groups();
    const { folded } = this.state;
    if (folded === null) return new Set((this.run?.payload.nodes.length ?? 0) >= FOLD_FROM ? groups : []);
    return new Set(groups.filter((one) => folded.includes(this.nameOf(one))));
  }

  private draw(): void {
    const { run, state } = this;
    if (!run) return;
    this.scene = sceneOfRun(run, state, this.ms === null ? null : momentAt(run, this.ms));
    this.element.setAttribute("aria-label", this.scene.title);
    const folded = this.folded();
    this.canvas.show(this.scene, folded);
    this.controls.show({
      metrics: metricsOf(run.payload.nodes),
      color: state.color, size: state.size, groups: this.groups().length, folded: folded.size, legend: this.scene.legend,
    });
  }

  private markAll(): void {
    const { run, selected, marked } = this;
    if (!run) return;
    const nodeOf = (step: number) => run.step(step).node;
    const primary = selected.at(-1);
    const around = primary === undefined ? [] : [...(run.causesOf[primary] ?? []), ...(run.effectsOf[primary] ?? [])];
    const ways = around.map((cause) => run.wayOf(nodeOf(cause.source), nodeOf(cause.target)));
    this.canvas.mark({
      chosen: new Set(selected.map(nodeOf)),
      causal: new Set(ways.filter((edge): edge is number => edge !== undefined)),
      kept: marked && new Set([...marked].map(nodeOf)),
    });
  }
}
