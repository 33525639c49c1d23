// What sets the graph: by what nodes are coloured and sized, subgraphs, and the zoom.

import { button, h, icon } from "../dom";
import { ICON_FOLD, ICON_UNFOLD } from "../icons";
import { ICON_FIT, ICON_GLOBAL, ICON_MINUS, ICON_PLUS } from "../status";
import { type Metric, METRIC_WORDS, METRICS } from "./metrics";
import type { LegendItem } from "./scene";

export interface ControlEvents {
  onColor(metric: Metric | null): void;
  onSize(metric: Metric | null): void;
  onFold(all: boolean): void;
  onZoom(factor: number): void;
  onFit(): void;
}

export class Controls {
  readonly tools: HTMLElement;
  readonly foot: HTMLElement;
  private readonly legend = h("div", { class: "ftnb-legend", attrs: { "aria-hidden": true } });
  private readonly color: HTMLSelectElement;
  private readonly size: HTMLSelectElement;
  private readonly foldAll: HTMLButtonElement;
  private readonly unfoldAll: HTMLButtonElement;

  constructor(events: ControlEvents) {
    this.color = this.choice("Colour of the nodes", (value) => events.onColor(value));
    this.size = this.choice("Height of the nodes", (value) => events.onSize(value));
    this.foldAll = button(icon(ICON_FOLD), () => events.onFold(true), { title: "Fold all subgraphs", attrs: { "aria-label": "Fold all subgraphs" } });
    this.unfoldAll = button(icon(ICON_UNFOLD), () => events.onFold(false), { title: "Unfold all subgraphs", attrs: { "aria-label": "Unfold all subgraphs" } });
    this.tools = h(
      "div",
      { class: "ftnb-tools" },
      this.foldAll,
      this.unfoldAll,
      button(icon(ICON_MINUS), () => events.onZoom(1 / 1.25), { title: "Zoom out (−)", attrs: { "aria-label": "Zoom out" } }),
      button(icon(ICON_PLUS), () => events.onZoom(1.25), { title: "Zoom in (+)", attrs: { "aria-label": "Zoom in" } }),
      button(icon(ICON_FIT), () => events.onFit(), { title: "Show all (0)", attrs: { "aria-label": "Show the whole graph" } }),
    );
    this.foot = h("div", { class: "ftnb-foot" }, this.legend, h("div", { class: "ftnb-looks" }, this.color, this.size));
  }

  show(set: { metrics: readonly Metric[]; color: Metric | null; size: Metric | null; groups: number; folded: number; legend: readonly LegendItem[] }): void {
    this.fill(this.color, "colour: status", "colour: ", set.metrics.filter((one) => one !== "visits"), set.color);
    this.fill(this.size, "size: same", "size: ", set.metrics, set.size);
    this.foldAll.hidden = set.groups === set.folded;
    this.unfoldAll.hidden = set.folded === 0;
    this.legend.replaceChildren(
      ...set.legend.map(({ sign, text }) =>
        h("span", {}, sign === "global" ? icon(ICON_GLOBAL) : sign ? h("i", { class: sign }) : null, text),
      ),
    );
  }

  private choice(label: string, onChange: (value: Metric | null) => void): HTMLSelectElement {
    const select = h("select", { class: "ftnb-select", title: label, attrs: { "aria-label": label } });
    select.addEventListener("change", () => onChange(METRICS.find((one) => one === select.value) ?? null));
    return select;
  }

  private fill(select: HTMLSelectElement, none: string, prefix: string, metrics: readonly Metric[], chosen: Metric | null): void {
    select.hidden = metrics.length === 0;
    // A list that is open would shut: a live run is shown anew many times a second.
    if (select.dataset.offered !== metrics.join()) {
      select.replaceChildren(
        h("option", { text: none, attrs: { value: "" } }),
        ...metrics.map((one) => h("option", { text: `${prefix}${METRIC_WORDS[one]}`, attrs: { value: one } })),
      );
      select.dataset.offered = metrics.join();
    }
    select.value = chosen ?? "";
  }
}
