// The line above: what run this is, how it stands, and what is wrong with it.

import { auditBadge } from "./audit";
import { button, h, icon } from "./dom";
import { count, duration, plural } from "./format";
import type { Run } from "./run";
import { ICON_HELP, ICON_SEARCH, ICON_WARNING, statusLook } from "./status";

export interface HeadEvents {
  onFailure(): void;
  onHome(): void;
  onSearch(): void;
  onHelp(): void;
}

export class Head {
  readonly element = h("div", { class: "ftnb-head" });

  /** `family` stands beside the name. */
  constructor(private readonly events: HeadEvents, private readonly family: HTMLElement | null = null) {}

  show(run: Run): void {
    const { engagement, steps } = run.payload;
    const look = statusLook(engagement.status);
    const chip = h("span", { class: "ftnb-chip" }, icon(look.path), look.word);
    chip.style.setProperty("--c", `var(${look.color})`);
    const fact = (value: string, unit: string) => h("span", {}, h("b", { text: value }), ` ${unit}`);
    this.element.replaceChildren(
      h("span", { class: "ftnb-name", text: engagement.name, title: `${engagement.name}\n${engagement.id}` }),
      chip,
      ...[auditBadge(engagement.audit)].filter((badge) => badge !== null),
      ...(this.family ? [this.family] : []),
      h(
        "span",
        { class: "ftnb-facts" },
        h("span", {}, h("b", { text: duration(engagement.duration_ms) })),
        fact(count(steps.length), steps.length === 1 ? "step" : "steps"),
        engagement.n_turns > 1 && fact(count(engagement.n_turns), "turns"),
        engagement.total_tokens > 0 && fact(count(engagement.total_tokens), "tokens"),
      ),
      h("span", { class: "ftnb-spacer" }),
      ...this.badges(run),
      ...this.buttons(),
    );
  }

  /** What stands there while there is no run. */
  showTitle(title: string): void {
    this.element.replaceChildren(h("span", { class: "ftnb-name", text: title }));
  }

  private buttons(): HTMLElement[] {
    return [
      button(icon(ICON_SEARCH), this.events.onSearch, { title: "Search (/)", attrs: { "aria-label": "Search" } }),
      button(icon(ICON_HELP), this.events.onHelp, { title: "Keys (?)", attrs: { "aria-label": "Keyboard help" } }),
    ];
  }

  private badges(run: Run): HTMLElement[] {
    const { engagement, gaps, following } = run.payload;
    const badges: HTMLElement[] = [];
    const add = (text: string, color: string, path: string, title: string, onClick: () => void) => {
      const badge = button(icon(path), onClick, { class: "ftnb-chip", title });
      badge.append(text);
      badge.style.setProperty("--c", `var(${color})`);
      badges.push(badge);
    };
    if (following?.is_on) {
      const live = h("span", { class: "ftnb-chip ftnb-live", title: "This view follows the run" }, h("i", {}), "live");
      live.style.setProperty("--c", "var(--ftnb-running)");
      badges.push(live);
    }
    const failing = engagement.n_failing_steps;
    if (failing) {
      const text = plural(failing, "step with errors", "steps with errors");
      add(text, "--ftnb-failed", statusLook("failed").path, "Go to the first step with an error (f)", this.events.onFailure);
    }
    const missing = gaps.reduce((sum, gap) => sum + gap.count, 0);
    if (missing || gaps.length) {
      const text = missing ? `${plural(missing, "record")} missing` : "not whole";
      add(text, "--ftnb-running", ICON_WARNING, "This trace is not whole; the list says what is missing", this.events.onHome);
    }
    if (following?.dropped) {
      const title = `The recorder could not keep ${plural(following.dropped, "record")}: ${following.detail}. Other runs of this session may lack them.`;
      add(`recorder dropped ${count(following.dropped)}`, "--ftnb-failed", ICON_WARNING, title, this.events.onHome);
    }
    if (following && following.stalled_s >= 2) {
      const title = "The writer waits for the store: it is locked, full or gone. What is shown may be behind.";
      add(`store stalled ${Math.round(following.stalled_s)} s`, "--ftnb-failed", ICON_WARNING, title, this.events.onHome);
    }
    return badges;
  }
}
