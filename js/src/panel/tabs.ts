// The inspector's tabs: what each shows of a step, and whether it has anything to show.

import { button, type Child, h } from "../dom";
import { count, plural } from "../format";
import type { EventDetail, Preview, StepDetail } from "../protocol.gen";
import { copyButton } from "./copy";
import { type Difference, differences, jsonPatch } from "./diff";
import { type Context, errorElement, eventElement, note, relations, stepChips, valueOf, visitsElement } from "./facts";
import { changesBox, sourceTab, whyTab } from "./insight";
import { judgeElement } from "./judge";
import { isObject, markerOf } from "./markers";
import { asChat, type ChatItem } from "./messages";
import { asText, chatElement, valueElement } from "./values";

export interface Tab {
  id: string;
  title: string;
  /** How many things it has; 0 hides it; null: it has no number. */
  n(context: Context, detail: StepDetail | undefined): number | null;
  build(context: Context, detail: StepDetail): Child[];
}

const NO_DETAIL: StepDetail = { state: null, update: null, extraction: null, events: [], error_type: null, tools_available: [] };

export const TABS: readonly Tab[] = [
  { id: "summary", title: "Summary", n: () => null, build: summary },
  { id: "why", title: "Why", n: ({ host }) => (host.inspect ? null : 0), build: whyTab },
  { id: "io", title: "In / out", n: (_, d) => (d?.state || d?.update ? null : 0), build: inputOutput },
  { id: "diff", title: "Diff", n: ({ host }, d) => (host.inspect || (d?.state && d.update) ? null : 0), build: stateDiff },
  { id: "messages", title: "Messages", n: (_, d) => (d ? conversations(d).length && null : 0), build: messages },
  { id: "events", title: "Events", n: (_, d) => d?.events.length ?? 0, build: events },
  { id: "tools", title: "Tools", n: (_, d) => (d ? toolCalls(d).length || (d.tools_available.length ? null : 0) : 0), build: tools },
  { id: "source", title: "Source", n: ({ host }) => (host.inspect && host.fetch ? null : 0), build: sourceTab },
  { id: "extraction", title: "Extraction", n: (_, d) => (d?.extraction ? null : 0), build: extraction },
  { id: "raw", title: "Raw", n: (_, d) => (d ? null : 0), build: raw },
];

/** The tabs that have something to show of this step. */
export function tabsOf(context: Context): Tab[] {
  const detail = context.run.payload.details[context.index];
  return TABS.filter((tab) => tab.n(context, detail) !== 0);
}

export function buildTab(tab: Tab, context: Context): Child[] {
  return tab.build(context, context.run.payload.details[context.index] ?? NO_DETAIL);
}

function idOf(context: Context): string {
  return context.run.step(context.index).id;
}

function value(context: Context, preview: Preview, part: "state" | "update" | "extraction"): HTMLElement {
  return valueOf({ ...context, id: idOf(context) }, preview, part);
}

function summary(context: Context, detail: StepDetail): Child[] {
  const { run, index, host } = context;
  const step = run.step(index);
  const parts: Child[] = [visitsElement(context), stepChips(run, index, step)];
  if (step.error) parts.push(errorElement(step.error, detail.error_type));
  for (const event of detail.events) {
    if (event.error && event.error !== step.error) parts.push(errorElement(`${event.name}: ${event.error}`, event.error_type));
  }
  parts.push(relations(context));
  const last = lastSaid(detail);
  if (last) parts.push(context.section("Said last", null, true, chatElement([last], () => false, context.query)));
  if (detail.extraction) parts.push(context.section(`Extraction · ${detail.extraction.schema_name}`, extractionNote(detail), true, value(context, detail.extraction.values, "extraction")));
  if (detail.events.length) parts.push(context.section("Events", countKinds(detail.events), false, ...detail.events.map((one, number) => eventElement(context, one, number))));
  if (!run.payload.details[index]) parts.push(note(host.detail ? "Asking the kernel for states and events (it answers when it is free) …" : "States and payloads were left out of this view."));
  else if (!detail.state && !detail.update && !detail.events.length && !detail.extraction) parts.push(note("No state and no event was captured in this step."));
  const judged = run.payload.annotations.filter((one) => one.step === index);
  if (judged.length || host.annotate) parts.push(context.section("Judgements", judged.length ? count(judged.length) : null, true, judgeElement(host, judged, idOf(context), context.onSay)));
  return parts;
}

function countKinds(list: readonly EventDetail[]): string {
  const of = (kind: string) => list.filter((event) => event.kind === kind).length;
  const [llm, tool] = [of("llm_call"), of("tool_call")];
  const other = list.length - llm - tool;
  return [llm && plural(llm, "LLM call"), tool && plural(tool, "tool call"), other && plural(other, "other")].filter(Boolean).join(", ");
}

/** What was said last in what the step returned: an answer is what most people look for. */
function lastSaid(detail: StepDetail): ChatItem | null {
  const found = conversations(detail).findLast((one) => one.added.length);
  return found?.added.at(-1) ?? null;
}

function inputOutput(context: Context, detail: StepDetail): Child[] {
  return [
    detail.state && context.section("Input", "the state that the node was given", true, value(context, detail.state, "state")),
    detail.update && context.section("Output", "what the node returned", true, value(context, detail.update, "update")),
    !detail.state && note("No input was captured."),
    !detail.update && note("Nothing was returned, or it was not captured."),
  ];
}

// ---------------------------------------------------------------- diff

/** `effect`: with the graph's reducers applied, which only the kernel can tell. */
type Against = "effect" | "returned" | "next";

function stateDiff(context: Context, detail: StepDetail): Child[] {
  const box = h("div");
  const { run, index, host } = context;
  const next = (run.effectsOf[index] ?? []).map((one) => one.target).find((one) => run.payload.details[one]?.state);
  const seen = next === undefined ? null : (run.payload.details[next]?.state ?? null);
  const ways: Array<[Against, string, Preview | null]> = [
    ["effect", "what it changed", null],
    ["returned", "what it returned", detail.update],
    ["next", next === undefined ? "" : `what ${run.title(next)} saw`, seen],
  ];
  const possible = ways.filter(([against, , after]) => (against === "effect" ? host.inspect : detail.state && after));
  const show = (against: Against) => {
    const choices = possible.map(([one, label]) => button(label, () => show(one), { class: "ftnb-button", attrs: { "aria-pressed": String(one === against) } }));
    const choice = possible.length > 1 && h("div", { class: "ftnb-choice", attrs: { role: "group", "aria-label": "Compared with" } }, ...choices);
    const after = ways.find(([one]) => one === against)?.[2] ?? null;
    const shown = against === "effect" ? changesBox(context) : compared(context, against === "next" ? (next ?? null) : null, detail.state, after);
    box.replaceChildren(...[choice, shown].filter((one): one is HTMLElement => Boolean(one)));
  };
  if (possible[0]) show(possible[0][0]);
  return [box];
}

/** The step's input against what it returned or, with `next`, against the input of that step. */
function compared(context: Context, next: number | null, before: Preview | null, after: Preview | null): HTMLElement {
  const box = h("div");
  if (!before || !after) return box;
  const isPartial = before.cut || after.cut;
  const { fetch } = context.host;
  const whole = fetch && isPartial && button("Load both whole", () => {
    const other = next !== null ? fetch("state", context.run.step(next).id, null) : fetch("update", idOf(context), null);
    void Promise.all([fetch("state", idOf(context), null), other]).then(([a, b]) => box.replaceWith(compared(context, next, a, b)), (error: unknown) => context.onSay(String(error)));
  }, { class: "ftnb-link" });
  const partly = isPartial && h("div", { class: "ftnb-note" }, h("span", { class: "ftnb-cut", text: "Parts of these values are not loaded; what is beyond them is not compared." }), " ", whole);
  box.replaceChildren(...[partly, diffElement(differences(before.value, after.value, next === null), context)].filter((one): one is HTMLElement => Boolean(one)));
  return box;
}

const SIGNS: Record<string, [string, string]> = {
  add: ["+", "added"],
  append: ["+", "appended"],
  remove: ["−", "removed"],
  replace: ["~", "changed"],
  merge: ["⊕", "returned; a reducer joins it with what was there"],
};

function diffElement(found: readonly Difference[], { query }: Context): HTMLElement {
  const changed = found.filter((one) => one.op !== "same");
  const unchanged = found.filter((one) => one.op === "same");
  const side = (label: string, shown: unknown) => h("div", { class: `side ${label}` }, h("small", { text: label }), valueElement(shown, { query }));
  const rows = changed.map((one) => {
    const [sign, word] = SIGNS[one.op] ?? ["?", one.op];
    const hasBefore = one.op === "replace" || one.op === "remove" || one.op === "merge";
    return h(
      "div",
      { class: `ftnb-change ${one.op}` },
      h("div", { class: "path" }, h("b", { text: sign, attrs: { "aria-hidden": true } }), h("code", { text: one.path || "/" }), h("small", { text: word })),
      h("div", { class: "sides" }, hasBefore && side("before", one.before), one.op !== "remove" && side(hasBefore ? "after" : "new", one.after)),
    );
  });
  const head = h("div", { class: "ftnb-note" }, changed.length ? plural(changed.length, "change") : "Nothing changed.", changed.length ? copyButton(() => asText(jsonPatch(found)), "Copy as JSON Patch") : null);
  const same = unchanged.length > 0 && note(`returned with the same value: ${unchanged.map((one) => one.path.slice(1)).join(", ")}`);
  return h("div", { class: "ftnb-diff" }, head, ...rows, same);
}

// ---------------------------------------------------------------- messages

interface Conversation {
  title: string;
  items: ChatItem[];
  /** What the step added. */
  added: ChatItem[];
  cut: boolean;
}

/** Every conversation in a step's values: its state's with what it returned, and each LLM call's. */
function conversations(detail: StepDetail): Conversation[] {
  const before = chatsIn(detail.state?.value);
  const after = chatsIn(detail.update?.value);
  const found: Conversation[] = [];
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    const [old, returned] = [before.get(key) ?? [], after.get(key) ?? []];
    // A node may return the whole conversation or only what is new.
    const texts = new Set(old.map((item) => JSON.stringify(item)));
    const added = returned.filter((item) => !texts.has(JSON.stringify(item)));
    found.push({ title: key || "State", items: [...old, ...added], added, cut: Boolean(detail.state?.cut || detail.update?.cut) });
  }
  detail.events.forEach((event) => {
    for (const [key, items] of chatsIn(event.payload.value)) found.push({ title: `${event.name}${key ? ` · ${key}` : ""}`, items, added: [], cut: event.payload.cut });
  });
  return found;
}

/** The conversations right inside a value, by key; "" for the value itself. */
function chatsIn(value: unknown): Map<string, ChatItem[]> {
  const whole = asChat(value);
  if (whole) return new Map([["", whole]]);
  const found = new Map<string, ChatItem[]>();
  if (!isObject(value) || markerOf(value) !== null) return found;
  for (const [key, part] of Object.entries(value)) {
    const chat = asChat(part);
    if (chat) found.set(key, chat);
  }
  return found;
}

function messages(context: Context, detail: StepDetail): Child[] {
  return conversations(detail).map((one, place) => {
    const isNew = (index: number) => index >= one.items.length - one.added.length;
    const title = plural(one.items.length, "message") + (one.added.length ? `, ${count(one.added.length)} new` : "");
    const partly = one.cut && note("Some of it is not loaded; In / out and Events have the whole.");
    return context.section(one.title, title, place === 0, chatElement(one.items, isNew, context.query), partly);
  });
}

// ---------------------------------------------------------------- the rest

function events(context: Context, detail: StepDetail): Child[] {
  return detail.events.map((one, number) => eventElement(context, one, number, detail.events.length === 1));
}

function toolCalls(detail: StepDetail): Array<[EventDetail, number]> {
  return detail.events.map((one, number): [EventDetail, number] => [one, number]).filter(([one]) => one.kind === "tool_call");
}

function tools(context: Context, detail: StepDetail): Child[] {
  const calls = toolCalls(detail);
  const used = new Set(calls.map(([one]) => one.name));
  const offered = detail.tools_available;
  return [
    ...calls.map(([one, number]) => eventElement(context, one, number, calls.length < 4)),
    !calls.length && note("No tool was called."),
    offered.length > 0 && context.section("Offered", count(offered.length), true, h("div", { class: "ftnb-tags" }, ...offered.map((name) => h("span", { class: "ftnb-tag", text: used.has(name) ? `${name} · called` : name })))),
  ];
}

function extractionNote(detail: StepDetail): string {
  const { confidence, valid } = detail.extraction ?? { confidence: null, valid: true };
  return [confidence === null ? "" : `confidence ${confidence}`, valid ? "" : "not valid"].filter(Boolean).join(", ");
}

function extraction(context: Context, detail: StepDetail): Child[] {
  const found = detail.extraction;
  if (!found) return [];
  return [context.section(found.schema_name, extractionNote(detail), true, value(context, found.values, "extraction")), !found.valid && errorElement("The values do not fit the schema.", null)];
}

function raw(context: Context, detail: StepDetail): Child[] {
  const { run, index } = context;
  const all = { step: run.step(index), detail, annotations: run.payload.annotations.filter((one) => one.step === index) };
  return [
    h("div", { class: "ftnb-note" }, "As this view has it; what was cut says so.", copyButton(() => asText(all), "Copy all as JSON")),
    valueElement(all, { query: context.query }),
  ];
}
