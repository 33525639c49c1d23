// The panel beside the graph: the run as a list of steps, or one step in detail.

import { button, type Child, h, icon } from "../dom";
import { count, duration, plural } from "../format";
import type { Host } from "../host";
import type { DetailPart, EventDetail, Preview, StepRow } from "../protocol.gen";
import type { Run } from "../run";
import { ICON_HOME, ICON_NEXT, ICON_PREVIOUS, kindLook, statusLook } from "../status";
import { type Fetch, previewElement } from "./values";

const PAGE = 200;

export interface PanelEvents {
  onStep(step: number): void;
  onHome(): void;
  onHover(step: number | null): void;
}

export class PanelView {
  readonly element: HTMLElement;
  private readonly nav = h("div", { class: "ftnb-nav" });
  private readonly body = h("div", { class: "ftnb-body", attrs: { tabindex: 0, role: "region", "aria-label": "Inspector" } });
  /** Sections that the user closed or opened, by name, kept from step to step. */
  private readonly folds = new Map<string, boolean>();

  constructor(private readonly host: Host, private readonly events: PanelEvents) {
    this.element = h("div", { class: "ftnb-panel" }, this.nav, this.body);
  }

  focus(): void {
    this.body.focus({ preventScroll: true });
  }

  /** Show `step` of `run`, or the whole run; `event` is opened and brought into view. */
  show(run: Run, step: number | null, event: number | null = null): void {
    this.showNav(run, step);
    this.body.replaceChildren(...(step === null ? this.overview(run) : this.step(run, step, event)));
    const chosen = this.body.querySelector<HTMLElement>(".ftnb-event.chosen");
    // Not scrollIntoView: that would also scroll the notebook.
    this.body.scrollTop = chosen ? chosen.offsetTop - this.body.offsetTop - 30 : 0;
  }

  private showNav(run: Run, step: number | null): void {
    const lane = step === null ? -1 : (run.laneOfStep[step] ?? -1);
    const total = run.order.length;
    const move = (by: number, path: string, label: string, off: boolean) =>
      button(icon(path), () => {
        const next = run.neighbour(step, by);
        if (next !== null) this.events.onStep(next);
      }, { title: label, attrs: { "aria-label": label, disabled: off } });
    this.nav.replaceChildren(
      button(icon(ICON_HOME), () => this.events.onHome(), { title: "All steps (Esc)", attrs: { "aria-label": "All steps", disabled: step === null } }),
      h("span", { class: "ftnb-where", text: step === null ? "All steps" : run.step(step).name, title: step === null ? "" : run.step(step).name }),
      h("small", { text: step === null ? plural(total, "step") : `${lane + 1} of ${total}` }),
      move(-1, ICON_PREVIOUS, "Previous step (←)", !total || lane === 0),
      move(1, ICON_NEXT, "Next step (→)", !total || lane === total - 1),
    );
  }

  private overview(run: Run): HTMLElement[] {
    const { engagement, gaps, steps } = run.payload;
    const parts: HTMLElement[] = [];
    if (engagement.error) parts.push(h("div", { class: "ftnb-error", text: engagement.error }));
    if (engagement.status === "abandoned" && engagement.dropped_at) {
      parts.push(h("div", { class: "ftnb-note", text: `It reached no goal; the last step was ${engagement.dropped_at}.` }));
    }
    if (!steps.length) parts.push(h("div", { class: "ftnb-note", text: "No step has been recorded yet." }));
    for (const gap of gaps) {
      const detail = gap.detail ? `: ${gap.detail}` : "";
      parts.push(h("div", { class: "ftnb-error", text: `Missing from this trace: ${plural(gap.count, "record")} (${gap.reason})${detail}` }));
    }
    parts.push(this.stepList(run));
    const { value } = engagement.metadata;
    const hasMetadata = typeof value === "object" && value !== null && Object.keys(value).length > 0;
    if (hasMetadata) parts.push(this.section("Metadata", null, true, this.value(engagement.metadata, "metadata", null, null)));
    parts.push(
      this.section("About", null, true, facts([
        ["id", engagement.id],
        ["started", new Date(engagement.started_at).toLocaleString()],
        ["turns", count(engagement.n_turns)],
        ["LLM calls", count(engagement.n_llm_calls)],
        ["tool calls", count(engagement.n_tool_calls)],
        ["tokens, discarded", engagement.discarded_tokens ? count(engagement.discarded_tokens) : ""],
        ["forked from", engagement.parent_id ?? ""],
      ])),
    );
    return parts;
  }

  private stepList(run: Run): HTMLElement {
    const list = h("ol", { class: "ftnb-steps", attrs: { "aria-label": "Steps" } });
    const add = (from: number) => {
      for (const index of run.order.slice(from, from + PAGE)) list.append(h("li", {}, this.stepButton(run, index)));
      const left = run.order.length - from - PAGE;
      if (left <= 0) return;
      const more = h("li", {}, button(`Show more (${count(left)} left)`, () => {
        more.remove();
        add(from + PAGE);
      }, { class: "ftnb-link" }));
      list.append(more);
    };
    add(0);
    return list;
  }

  private stepButton(run: Run, index: number): HTMLElement {
    const step = run.step(index);
    const look = statusLook(step.failing ? "failed" : step.status);
    const repeated = run.isRepeated(index);
    const children: Child[] = [
      icon(look.path),
      h("span", { class: "name", text: step.name }),
      repeated && h("span", { class: "visit", text: `#${step.visit}${step.attempt > 1 ? `.${step.attempt}` : ""}` }),
      step.is_global && h("span", { class: "ftnb-tag", text: "global" }),
      step.status !== "completed" && h("span", { class: "ftnb-tag", text: look.word }),
      h("span", { class: "facts", text: run.lane(index)?.open ? "running" : duration(step.duration_ms) }),
    ];
    const element = button(null, () => this.events.onStep(index), { attrs: { "aria-label": run.describe(index) } });
    element.style.setProperty("--c", `var(${look.color})`);
    element.style.paddingLeft = `${4 + Math.min(step.ns ? step.ns.split("/").length : 0, 4) * 12}px`;
    element.append(...children.filter((child): child is Node => Boolean(child)));
    element.addEventListener("mouseenter", () => this.events.onHover(index));
    element.addEventListener("mouseleave", () => this.events.onHover(null));
    return element;
  }

  private step(run: Run, index: number, event: number | null): HTMLElement[] {
    const step = run.step(index);
    const detail = run.payload.details[index];
    const parts: HTMLElement[] = [];
    const visits = this.visits(run, index);
    if (visits) parts.push(visits);
    parts.push(this.chips(run, index, step));
    if (step.error) {
      parts.push(h("div", { class: "ftnb-error", text: detail?.error_type ? `${detail.error_type}: ${step.error}` : step.error }));
    }
    parts.push(this.relations(run, index));
    if (!detail) {
      parts.push(h("div", { class: "ftnb-note", text: "States and payloads were left out of this view." }));
      return parts;
    }
    if (detail.extraction) {
      const { schema_name, confidence, valid, values } = detail.extraction;
      const note = [confidence === null ? "" : `confidence ${confidence}`, valid ? "" : "not valid"].filter(Boolean).join(", ");
      parts.push(this.section(`Extraction · ${schema_name}`, note, true, this.value(values, "extraction", index, null)));
    }
    if (detail.events.length) {
      const cards = detail.events.map((one, number) => this.event(index, one, number, number === event));
      parts.push(this.section("Events", count(detail.events.length), true, ...cards));
    }
    if (detail.state) parts.push(this.section("Input state", null, true, this.value(detail.state, "state", index, null)));
    if (detail.update) parts.push(this.section("Update", null, true, this.value(detail.update, "update", index, null)));
    if (!detail.state && !detail.update && !detail.events.length && !detail.extraction) {
      parts.push(h("div", { class: "ftnb-note", text: "No state and no event was captured in this step." }));
    }
    return parts;
  }

  /** All executions of the step's node, to choose from. */
  private visits(run: Run, index: number): HTMLElement | null {
    const all = run.stepsOfNode[run.step(index).node] ?? [];
    if (all.length < 2) return null;
    const { visit, n_visits } = run.step(index);
    const near = chipsNear(all.length, all.indexOf(index));
    const chips = near.map((at) => {
      const one = at === null ? undefined : all[at];
      if (one === undefined) return h("span", { text: "…" });
      const step = run.step(one);
      const look = statusLook(step.failing ? "failed" : step.status);
      const chip = button(null, () => this.events.onStep(one), {
        title: run.describe(one),
        attrs: { "aria-pressed": String(one === index), "aria-label": run.describe(one) },
      });
      chip.style.setProperty("--c", `var(${look.color})`);
      chip.append(icon(look.path), `${step.visit}${step.attempt > 1 ? `.${step.attempt}` : ""}`);
      return chip;
    });
    return h("div", { class: "ftnb-visits", attrs: { role: "group", "aria-label": "Visits" } }, `visit ${visit} of ${n_visits}`, ...chips);
  }

  private chips(run: Run, index: number, step: StepRow): HTMLElement {
    const look = statusLook(step.status);
    const chip = h("span", { class: "ftnb-chip" }, icon(look.path), look.word);
    chip.style.setProperty("--c", `var(${look.color})`);
    const open = run.lane(index)?.open;
    return h(
      "div",
      { class: "ftnb-facts" },
      chip,
      step.failing && step.status !== "failed" && h("span", { text: "with errors inside" }),
      h("span", {}, h("b", { text: open ? "still running" : duration(step.duration_ms) })),
      step.total_tokens > 0 && h("span", {}, h("b", { text: count(step.total_tokens) }), " tokens"),
      step.attempt > 1 && h("span", { text: `attempt ${step.attempt}` }),
      run.payload.engagement.n_turns > 1 && h("span", { text: `turn ${step.turn}` }),
      step.is_global && h("span", { class: "ftnb-tag", text: "global" }),
    );
  }

  private relations(run: Run, index: number): HTMLElement {
    const step = run.step(index);
    const link = (other: number) => button(run.title(other), () => this.events.onStep(other), { class: "ftnb-link" });
    const list = h("dl", { class: "ftnb-meta" });
    const add = (name: string, ...children: Child[]) => list.append(h("dt", { text: name }), h("dd", {}, ...children));
    add("at", `${duration(step.offset_ms)} after the start`);
    const causes = run.causesOf[index] ?? [];
    const kinds = new Set(causes.map((cause) => cause.kind).filter((kind) => kind !== "static" && kind !== "order"));
    if (causes.length) add("after", ...causes.flatMap((cause) => [link(cause.source), " "]), kinds.size ? `(${[...kinds].join(", ")})` : "");
    const effects = run.effectsOf[index] ?? [];
    if (effects.length) add("then", ...effects.flatMap((effect) => [link(effect.target), " "]));
    if (step.parent !== null) add("inside", link(step.parent));
    else if (step.ns) add("inside", step.ns);
    for (const one of run.payload.timeline.switches) {
      if (one.step === index) add("intent", `${one.from_step ?? "start"} → ${one.to_step}: ${one.reason}`);
    }
    const tools = run.payload.details[index]?.tools_available ?? [];
    if (tools.length) add("tools", tools.join(", "));
    return list;
  }

  private event(step: number, event: EventDetail, number: number, chosen: boolean): HTMLElement {
    const look = kindLook(event.error ? "error" : event.kind);
    const tokens = event.tokens;
    const factsText = [
      event.duration_ms === null ? "" : duration(event.duration_ms),
      tokens ? `${count(tokens.total)} tok` : "",
    ].filter(Boolean).join(" · ");
    const mark = icon(look.path);
    mark.style.color = `var(${look.color})`;
    const card = h(
      "details",
      { class: `ftnb-event${chosen ? " chosen" : ""}`, attrs: { open: chosen || Boolean(event.error) } },
      h("summary", { title: kindLook(event.kind).word }, mark, h("span", { class: "name", text: event.name }),
        event.discarded && h("span", { class: "ftnb-tag", text: "discarded" }), h("span", { class: "facts", text: factsText })),
    );
    const fill = () => {
      if (card.childNodes.length > 1) return;
      if (event.error) card.append(h("div", { class: "ftnb-error", text: event.error_type ? `${event.error_type}: ${event.error}` : event.error }));
      card.append(facts([
        ["kind", event.subtype ? `${kindLook(event.kind).word} (${event.subtype})` : kindLook(event.kind).word],
        ["model", event.model ?? ""],
        ["tokens", tokens ? `${count(tokens.prompt)} in, ${count(tokens.completion)} out` : ""],
        ["from cache", tokens?.cache_read ? count(tokens.cache_read) : ""],
        ["reasoning", tokens?.reasoning ? count(tokens.reasoning) : ""],
        ["first token", event.ttft_ms === null ? "" : `after ${duration(event.ttft_ms)}`],
        ["at", `${duration(event.offset_ms)} after the start`],
      ]));
      card.append(this.value(event.payload, "event", step, number));
    };
    card.addEventListener("toggle", () => card.open && fill());
    if (card.open) fill();
    return card;
  }

  private value(preview: Preview, part: DetailPart, step: number | null, event: number | null): HTMLElement {
    const { fetch } = this.host;
    const id = step === null ? null : (this.host.payload().steps[step]?.id ?? null);
    const whole: Fetch | null = fetch ? () => fetch(part, id, event) : null;
    return previewElement(preview, whole);
  }

  private section(title: string, note: string | null, open: boolean, ...children: Child[]): HTMLElement {
    const summary = h("summary", {}, title, note ? h("small", { text: note }) : null);
    const name = title.split(" ")[0] ?? title;
    const fold = h("details", { class: "ftnb-section", attrs: { open: this.folds.get(name) ?? open } }, summary, ...children);
    summary.addEventListener("click", () => this.folds.set(name, !fold.open));
    return fold;
  }
}

/** Most visits that are offered at once. */
const MAX_CHIPS = 11;

/** Which of `n` visits to offer when number `at` is shown: both ends and what is near; null where some are left out. */
export function chipsNear(n: number, at: number): Array<number | null> {
  if (n <= MAX_CHIPS) return Array.from({ length: n }, (_, i) => i);
  const half = Math.floor((MAX_CHIPS - 4) / 2);
  const from = Math.min(Math.max(at - half, 1), n - 2 - 2 * half);
  const middle = Array.from({ length: 2 * half + 1 }, (_, i) => from + i);
  return [0, ...(from > 1 ? [null] : []), ...middle, ...(from + 2 * half < n - 2 ? [null] : []), n - 1];
}

function facts(rows: Array<[string, string]>): HTMLElement {
  const list = h("dl", { class: "ftnb-meta" });
  for (const [name, value] of rows) {
    if (value) list.append(h("dt", { text: name }), h("dd", { text: value }));
  }
  return list;
}
