// The lower part of a view: the scrubber, the tools and the timeline.

import { h } from "./dom";
import { Scrubber, type ScrubberEvents } from "./scrubber";
import type { Run } from "./run";
import type { TimelineView } from "./timeline/view";

export class Dock {
  readonly element: HTMLElement;
  readonly scrubber: Scrubber;
  private run: Run | null = null;

  constructor(private readonly timeline: TimelineView, events: ScrubberEvents, signal: AbortSignal) {
    this.scrubber = new Scrubber({
      onTime: (ms, settled) => {
        timeline.at(ms);
        events.onTime(ms, settled);
      },
    }, signal);
    timeline.onScale = (scale) => this.run && this.scrubber.show(this.run, scale);
    const bar = h("div", { class: "ftnb-bar" }, this.scrubber.element, timeline.tools.element);
    this.element = h("div", { class: "ftnb-dock" }, bar, timeline.element, timeline.twin);
  }

  /** Draw `run`; the moment that is shown stays. */
  show(run: Run): void {
    this.run = run;
    this.timeline.show(run);
  }

  /** As of `ms` since the first step; null: the whole run. */
  seek(ms: number | null): void {
    if (ms !== this.scrubber.time) this.scrubber.seek(ms);
  }
}
