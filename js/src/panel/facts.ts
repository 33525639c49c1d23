// Small pieces that several tabs use.

import { button, type Child, h, icon } from "../dom";
import { count, duration } from "../format";
import type { Host } from "../host";
import type { DetailPart, EventDetail, Preview, StepRow } from "../protocol.gen";
import type { Run } from "../run";
import { kindLook, statusLook } from "../status";
import type { Query } from "./query";
import { previewElement } from "./values";

/** What the tabs are given. */
export interface Context {
  run: Run;
  /** Index of the step. */
  index: number;
  host: Host;
  query: Query;
  /** An event of the step that was asked for. */
  event: number | null;
  onStep(step: number): void;
  onSay(text: string): void;
  section(title: string, note: string | null, open: boolean, ...children: Child[]): HTMLElement;
}

export function facts(rows: Array<[string, string]>): HTMLElement {
  const list = h("dl", { class: "ftnb-meta" });
  for (const [name, value] of rows) {
    if (value) list.append(h("dt", { text: name }), h("dd", { text: value }));
  }
  return list;
}

export function note(text: string): HTMLElement {
  return h("div", { class: "ftnb-note", text });
}

/** A recorded value with its tools. */
export function valueOf(context: Pick<Context, "host" | "query"> & { id: string | null }, preview: Preview, part: DetailPart, event: number | null = null): HTMLElement {
  const { fetch } = context.host;
  return previewElement(preview, fetch ? () => fetch(part, context.id, event) : null, { query: context.query });
}

/** An event, folded; its contents are built when it is opened. */
export function eventElement(context: Context, event: EventDetail, number: number, open = false): HTMLElement {
  const chosen = context.event === number;
  const look = kindLook(event.error ? "error" : event.kind);
  const { tokens } = event;
  const factsText = [event.duration_ms === null ? "" : duration(event.duration_ms), tokens ? `${count(tokens.total)} tok` : ""].filter(Boolean).join(" · ");
  const mark = icon(look.path);
  mark.style.color = `var(${look.color})`;
  const wanted = chosen || open || Boolean(event.error) || context.query.isIn(event.payload.value);
  const card = h(
    "details",
    { class: `ftnb-event${chosen ? " chosen" : ""}`, attrs: { open: wanted } },
    h("summary", { title: kindLook(event.kind).word }, mark, h("span", { class: "name", text: event.name }),
      event.discarded && h("span", { class: "ftnb-tag", text: "discarded" }), h("span", { class: "facts", text: factsText })),
  );
  const fill = () => {
    if (card.childNodes.length > 1) return;
    if (event.error) card.append(errorElement(event.error, event.error_type));
    card.append(eventFacts(event));
    card.append(valueOf({ ...context, id: context.run.step(context.index).id }, event.payload, "event", number));
  };
  card.addEventListener("toggle", () => card.open && fill());
  if (card.open) fill();
  return card;
}

export function errorElement(error: string, type: string | null | undefined): HTMLElement {
  return h("div", { class: "ftnb-error", text: type ? `${type}: ${error}` : error });
}

function eventFacts(event: EventDetail): HTMLElement {
  const { tokens } = event;
  return facts([
    ["kind", event.subtype ? `${kindLook(event.kind).word} (${event.subtype})` : kindLook(event.kind).word],
    ["model", event.model ?? ""],
    ["tokens", tokens ? `${count(tokens.prompt)} in, ${count(tokens.completion)} out` : ""],
    ["from cache", tokens?.cache_read ? count(tokens.cache_read) : ""],
    ["reasoning", tokens?.reasoning ? count(tokens.reasoning) : ""],
    ["first token", event.ttft_ms === null ? "" : `after ${duration(event.ttft_ms)}`],
    ["at", `${duration(event.offset_ms)} after the start`],
  ]);
}

/** Status, duration, tokens and what else is said of a step in one line. */
export function stepChips(run: Run, index: number, step: StepRow): HTMLElement {
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

/** Most visits that are offered at once. */
const MAX_CHIPS = 11;

/** All executions of the step's node, to choose from; null where it is the only one. */
export function visitsElement({ run, index, onStep }: Context): HTMLElement | null {
  const all = run.stepsOfNode[run.step(index).node] ?? [];
  if (all.length < 2) return null;
  const { visit, n_visits } = run.step(index);
  const chips = chipsNear(all.length, all.indexOf(index)).map((at) => {
    const one = at === null ? undefined : all[at];
    if (one === undefined) return h("span", { text: "…" });
    const step = run.step(one);
    const look = statusLook(step.failing ? "failed" : step.status);
    const chip = button(null, () => onStep(one), {
      title: run.describe(one),
      attrs: { "aria-pressed": String(one === index), "aria-label": run.describe(one) },
    });
    chip.style.setProperty("--c", `var(${look.color})`);
    chip.append(icon(look.path), `${step.visit}${step.attempt > 1 ? `.${step.attempt}` : ""}`);
    return chip;
  });
  return h("div", { class: "ftnb-visits", attrs: { role: "group", "aria-label": "Visits" } }, `visit ${visit} of ${n_visits}`, ...chips);
}

/** Which of `n` visits to offer when number `at` is shown: both ends and what is near; null where some are left out. */
export function chipsNear(n: number, at: number): Array<number | null> {
  if (n <= MAX_CHIPS) return Array.from({ length: n }, (_, i) => i);
  const half = Math.floor((MAX_CHIPS - 4) / 2);
  const from = Math.min(Math.max(at - half, 1), n - 2 - 2 * half);
  const middle = Array.from({ length: 2 * half + 1 }, (_, i) => from + i);
  return [0, ...(from > 1 ? [null] : []), ...middle, ...(from + 2 * half < n - 2 ? [null] : []), n - 1];
}

/** Where the step stands among the others. */
export function relations({ run, index, onStep }: Context): HTMLElement {
  const step = run.step(index);
  const link = (other: number) => button(run.title(other), () => onStep(other), { class: "ftnb-link" });
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
  return list;
}
