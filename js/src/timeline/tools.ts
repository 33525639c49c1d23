// What sets the timeline: its rows, its time, and the zoom.

import { button, h, icon } from "../dom";
import { ICON_FIT, ICON_MINUS, ICON_PLUS } from "../status";
import { type Grouping, GROUPINGS } from "./rows";

const WORDS: Record<Grouping, string> = { step: "a row a step", node: "by node", subgraph: "by subgraph", turn: "by turn" };

export interface ToolEvents {
  onGrouping(grouping: Grouping): void;
  onWall(wall: boolean): void;
  onZoom(factor: number): void;
  onFit(): void;
}

export class Tools {
  readonly element: HTMLElement;
  private readonly grouping: HTMLSelectElement;
  private readonly wall: HTMLButtonElement;
  private offered = "";

  constructor(events: ToolEvents) {
    this.grouping = h("select", { class: "ftnb-select", title: "What a row of the timeline is", attrs: { "aria-label": "Rows of the timeline" } });
    this.grouping.addEventListener("change", () => events.onGrouping(this.grouping.value as Grouping));
    this.wall = button("idle short", () => events.onWall(this.wall.getAttribute("aria-pressed") === "true"), {
      class: "ftnb-toggle",
      title: "Draw times in which nothing ran short, or as long as they were",
    });
    this.element = h(
      "div",
      { class: "ftnb-time-tools" },
      this.grouping,
      this.wall,
      button(icon(ICON_MINUS), () => events.onZoom(1 / 1.5), { title: "Zoom out", attrs: { "aria-label": "Zoom out in time" } }),
      button(icon(ICON_PLUS), () => events.onZoom(1.5), { title: "Zoom in", attrs: { "aria-label": "Zoom in in time" } }),
      button(icon(ICON_FIT), () => events.onFit(), { title: "Show all", attrs: { "aria-label": "Show the whole time" } }),
    );
  }

  show(set: { grouping: Grouping; wall: boolean; offered: readonly Grouping[]; hasIdle: boolean }): void {
    const offered = GROUPINGS.filter((one) => set.offered.includes(one) || one === set.grouping);
    // A list that is open would shut: a live run is shown anew many times a second.
    if (offered.join() !== this.offered) {
      this.grouping.replaceChildren(...offered.map((one) => h("option", { text: WORDS[one], attrs: { value: one } })));
      this.offered = offered.join();
    }
    this.grouping.value = set.grouping;
    this.wall.hidden = !set.hasIdle;
    this.wall.setAttribute("aria-pressed", String(!set.wall));
  }
}
