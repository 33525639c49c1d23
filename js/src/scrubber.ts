// Plays a run, and shows it as of any moment: a button, a slider, a speed.

import { button, h, icon } from "./dom";
import { duration } from "./format";
import { advance, momentAt, nextEvent, type Speed, SPEEDS, unitsFor } from "./playback";
import type { Run } from "./run";
import { ICON_NEXT_STEP, ICON_PAUSE, ICON_PLAY } from "./icons";
import { TimeScale } from "./timeline/scale";

const STEPS = 1_000;
/** For those who asked for less motion: from event to event, so slowly. */
const CALM_MS = 900;

export interface ScrubberEvents {
  /** Show the run as of `ms`; null: all of it. `settled`: the user let go, or the play is over. */
  onTime(ms: number | null, settled: boolean): void;
}

export class Scrubber {
  readonly element: HTMLElement;
  private readonly play: HTMLButtonElement;
  private readonly slider: HTMLInputElement;
  private readonly speed: HTMLSelectElement;
  private readonly text = h("output", { class: "ftnb-clock" });
  private readonly whole: HTMLButtonElement;
  private run: Run | null = null;
  private scale = new TimeScale(0, 1, []);
  private ms: number | null = null;
  private frame = 0;
  private last = 0;

  constructor(private readonly events: ScrubberEvents, private readonly signal: AbortSignal) {
    this.play = button(icon(ICON_PLAY), () => this.toggle(), { class: "ftnb-play", title: "Play the run", attrs: { "aria-label": "Play the run" } });
    const next = button(icon(ICON_NEXT_STEP), () => this.step(), { title: "To the next start or end of a step", attrs: { "aria-label": "To the next start or end of a step" } });
    this.slider = h("input", { class: "ftnb-slider", attrs: { type: "range", min: 0, max: STEPS, step: 1, value: STEPS, "aria-label": "Moment of the run" } });
    this.slider.addEventListener("input", () => {
      // Read first: stopping writes the slider.
      const ms = this.fromSlider();
      this.stop();
      this.set(ms, false);
    });
    this.slider.addEventListener("change", () => this.settle());
    this.speed = h("select", { class: "ftnb-select", title: "How fast it plays", attrs: { "aria-label": "Speed" } },
      ...SPEEDS.map((one, i) => h("option", { text: one.label, attrs: { value: i } })));
    this.whole = button("whole run", () => this.seek(null), { class: "ftnb-toggle", title: "Show all of the run again" });
    this.element = h("div", { class: "ftnb-scrubber", attrs: { role: "group", "aria-label": "Play the run" } },
      this.play, next, this.slider, this.text, this.speed, this.whole);
    // The arrows move the slider here, and nothing else.
    this.element.addEventListener("keydown", (event) => event.stopPropagation());
    signal.addEventListener("abort", () => this.stop());
    this.write();
  }

  /** The run on its scale; where it stands stays. */
  show(run: Run, scale: TimeScale): void {
    this.run = run;
    this.scale = scale;
    const isEmpty = run.payload.steps.length === 0;
    for (const one of [this.play, this.slider, this.speed]) one.disabled = isEmpty;
    this.write();
  }

  get time(): number | null {
    return this.ms;
  }

  /** As of `ms` since the first step; null: the whole run. */
  seek(ms: number | null): void {
    this.stop();
    this.set(ms, true);
  }

  toggle(): void {
    if (this.frame) {
      this.stop();
      this.settle();
      return;
    }
    if (!this.run?.payload.steps.length) return;
    if (this.ms === null || this.ms >= this.scale.to) this.set(this.scale.from, false);
    this.last = performance.now();
    this.frame = requestAnimationFrame((now) => this.tick(now));
    this.write();
  }

  private tick(now: number): void {
    if (this.signal.aborted || this.ms === null || !this.run) return this.stop();
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    let next: number | null = this.ms;
    if (!isCalm) next = advance(this.scale, this.ms, unitsFor(this.chosen, this.scale, now - this.last));
    else if (now - this.last >= CALM_MS) next = nextEvent(this.run, this.ms);
    if (!isCalm || next !== this.ms) this.last = now;
    if (next === null) {
      this.stop();
      this.set(null, true);
      return;
    }
    this.frame = requestAnimationFrame((later) => this.tick(later));
    if (next !== this.ms) this.set(next, false);
  }

  private step(): void {
    this.stop();
    if (!this.run) return;
    this.set(nextEvent(this.run, this.ms ?? this.scale.from - 1), true);
  }

  private stop(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.write();
  }

  private settle(): void {
    this.events.onTime(this.ms, true);
  }

  private set(ms: number | null, settled: boolean): void {
    this.ms = ms === null ? null : Math.min(Math.max(ms, this.scale.from), this.scale.to);
    this.write();
    this.events.onTime(this.ms, settled);
  }

  private get chosen(): Speed {
    return SPEEDS[Number(this.speed.value)] ?? (SPEEDS[0] as Speed);
  }

  private fromSlider(): number | null {
    const value = Number(this.slider.value);
    return value >= STEPS ? null : this.scale.ms((value / STEPS) * this.scale.length);
  }

  private write(): void {
    const isPlaying = this.frame !== 0;
    this.play.replaceChildren(icon(isPlaying ? ICON_PAUSE : ICON_PLAY));
    this.play.title = isPlaying ? "Pause" : "Play the run";
    this.play.setAttribute("aria-label", this.play.title);
    const total = duration(this.scale.to - this.scale.from);
    const unit = this.ms === null ? this.scale.length : this.scale.unit(this.ms);
    this.slider.value = String(Math.round((unit / this.scale.length) * STEPS));
    this.whole.disabled = this.ms === null;
    if (this.ms === null || !this.run) {
      this.text.textContent = total;
      this.slider.setAttribute("aria-valuetext", `whole run, ${total}`);
      return;
    }
    const { begun, running } = momentAt(this.run, this.ms);
    const text = `${duration(this.ms)} of ${total}`;
    this.text.textContent = text;
    this.text.title = `${begun} of ${this.run.payload.steps.length} steps begun, ${running} running`;
    this.slider.setAttribute("aria-valuetext", `${text}, ${this.text.title}`);
  }
}
