// Tabs that the kernel (or what a saved page carries) answers: why the step ran, what it changed, and its code.

import { button, type Child, h } from "../dom";
import { count, plural } from "../format";
import type { CauseRow, ChangeRow, ChangesDetail, CodeDetail, InsightKind, WhyDetail } from "../protocol.gen";
import { copyButton } from "./copy";
import { type Context, note } from "./facts";
import { highlight } from "./query";
import { asText, previewElement } from "./values";

type Answer = { value: unknown } | { error: string };

/** What was answered, by what was drawn when it was asked: a run that goes on gives other answers. */
const answers = new WeakMap<object, Map<string, Answer>>();

/** A box that asks, and is filled when the answer comes. */
function asked(context: Context, what: InsightKind, build: (value: never) => Child[], missing: string): HTMLElement {
  const { host, run, index } = context;
  const box = h("div", { class: "ftnb-insight", attrs: { "aria-busy": "true" } }, note("Asking the kernel (it answers when it is free) …"));
  const step = run.step(index);
  const known = answers.get(run.payload) ?? new Map<string, Answer>();
  answers.set(run.payload, known);
  const key = [what, step.id, step.status, run.payload.engagement.status, run.causesOf[index]?.length].join();
  const fill = (answer: Answer) => {
    box.removeAttribute("aria-busy");
    const parts = "error" in answer ? failure(answer.error) : build(answer.value as never);
    box.replaceChildren(...parts.filter((one): one is Node | string => Boolean(one)));
  };
  const failure = (error: string): Child[] => [
    h("div", { class: "ftnb-note" }, `${missing}: ${error}`),
    h("div", {}, button("Ask again", () => {
      known.delete(key);
      box.replaceWith(asked(context, what, build, missing));
    }, { class: "ftnb-link" })),
  ];
  const before = known.get(key);
  if (before) fill(before);
  else if (!host.inspect) fill({ error: "this view was made without a store behind it" });
  else {
    const settle = (answer: Answer) => {
      known.set(key, answer);
      fill(answer);
    };
    host.inspect(step.id, what).then(
      (value) => settle({ value }),
      (error: unknown) => settle({ error: error instanceof Error ? error.message : String(error) }),
    );
  }
  return box;
}

// ---------------------------------------------------------------- why

export function whyTab(context: Context): Child[] {
  return [asked(context, "why", (found: WhyDetail) => whyParts(context, found), "Why it ran is not known")];
}

function whyParts(context: Context, { title, causes, before, n_more }: WhyDetail): Child[] {
  const more = n_more > 0 && note(`… ${count(n_more)} more`);
  return [
    h("div", { class: "ftnb-lead", text: title }),
    causes.length === 0 && note("What led to it is not on record."),
    h("ul", { class: "ftnb-causes" }, ...causes.map((one) => causeItem(context, one, false))),
    before.length > 0 && context.section("Before that", plural(before.length + n_more, "step"), causes.length === 1, h("ol", { class: "ftnb-causes" }, ...before.map((one) => causeItem(context, one, true))), more),
  ];
}

function causeItem(context: Context, cause: CauseRow, named: boolean): HTMLElement {
  const { query } = context;
  const wrote = cause.wrote.map((line) => h("li", {}, h("code", {}, ...highlight(line, query))));
  return h(
    "li",
    { attrs: { "data-kind": cause.kind } },
    h("div", { class: "edge" }, named && stepLink(context, cause.step_id, cause.step), stepLink(context, cause.cause_id, cause.cause), h("span", { class: "ftnb-tag", text: cause.kind })),
    h("div", {}, ...highlight(cause.text, query)),
    cause.said !== null && h("div", { class: "said" }, h("small", { text: cause.router === null ? "was said" : `router ${cause.router} said` }), previewElement(cause.said, null, { query })),
    wrote.length > 0 && h("div", {}, h("small", { text: `${cause.cause} changed` }), h("ul", { class: "wrote" }, ...wrote)),
  );
}

/** A step by its name; a button where it is in this run. */
function stepLink({ run, onStep }: Context, id: string | null, name: string): HTMLElement {
  const at = id === null ? undefined : run.indexes([id])[0];
  if (at === undefined) return h("b", { text: name });
  return button(name, () => onStep(at), { class: "ftnb-link", title: run.describe(at) });
}

// ---------------------------------------------------------------- what it changed

export function changesBox(context: Context): HTMLElement {
  return asked(context, "changes", (found: ChangesDetail) => changesParts(context, found), "What it changed is not known");
}

const SIGNS: Record<string, [string, string]> = { add: ["+", "added"], remove: ["−", "removed"], replace: ["~", "changed"] };

function changesParts(context: Context, { changes, n_more, unknown }: ChangesDetail): Child[] {
  const patch = () => asText(changes.map((one) => (one.op === "remove" ? { op: one.op, path: one.path } : { op: one.op, path: one.path, value: one.after?.value })));
  const isWhole = n_more === 0 && changes.every((one) => !one.after?.cut);
  const head = changes.length ? plural(changes.length + n_more, "change") : unknown.length ? "" : "Nothing changed.";
  return [
    h("div", { class: "ftnb-note" }, head, changes.length > 0 && isWhole ? copyButton(patch, "Copy as JSON Patch") : null),
    ...changes.map((one) => changeElement(context, one)),
    n_more > 0 && note(`… ${count(n_more)} more; step.diff() in Python has all`),
    unknown.length > 0 && note(`not known, as a reducer of the graph's own merged it: ${unknown.join(", ")}`),
  ];
}

function changeElement({ query }: Context, change: ChangeRow): HTMLElement {
  const [sign, word] = SIGNS[change.op] ?? ["?", change.op];
  const side = (label: string, shown: ChangeRow["after"]) => shown && h("div", { class: `side ${label}` }, h("small", { text: label }), previewElement(shown, null, { query }));
  return h(
    "div",
    { class: `ftnb-change ${change.op}` },
    h("div", { class: "path" }, h("b", { text: sign, attrs: { "aria-hidden": true } }), h("code", {}, ...highlight(change.where || "/", query)), h("small", { text: word })),
    h("div", { class: "sides" }, side("before", change.before), side(change.before ? "after" : "new", change.after)),
  );
}

// ---------------------------------------------------------------- its code

export function sourceTab(context: Context): Child[] {
  return [asked(context, "source", (found: CodeDetail) => sourceParts(context, found), "Its code is not known")];
}

function sourceParts(context: Context, found: CodeDetail): Child[] {
  return [...codeParts(context, found), ...found.routers.map((one) => context.section(`Router ${one.qualname}`, one.place, false, ...codeParts(context, one)))];
}

const TODAY = { same: "today's code is the same", other: "today's code differs", none: "today's code was not found" };

function codeParts(context: Context, code: CodeDetail): Child[] {
  const is = code.changed === null ? "none" : code.changed ? "other" : "same";
  return [
    h("div", { class: "ftnb-lead" }, h("code", { text: code.qualname }), " ", h("span", { text: code.place })),
    h("div", { class: "ftnb-note" }, h("span", { class: `ftnb-today ${is}`, text: TODAY[is] }), ` · sha256 ${code.sha256.slice(0, 12)} · version ${code.version.slice(0, 12)}`, copyButton(() => code.text, "Copy the source")),
    lines("ftnb-code", "Source as it was when it ran", code.text, context, false),
    code.diff !== null && context.section("What changed since", null, true, lines("ftnb-code", "From the source then to the source now", code.diff, context, true)),
  ];
}

function lines(name: string, label: string, text: string, { query }: Context, isDiff: boolean): HTMLElement {
  const rows = text.replace(/\n$/, "").split("\n").map((line) => {
    const kind = !isDiff || /^(\+\+\+|---)/.test(line) ? "" : line.startsWith("+") ? "add" : line.startsWith("-") ? "remove" : "";
    return h("span", { class: `line ${kind}` }, ...highlight(line, query), "\n");
  });
  return h("pre", { class: name, attrs: { tabindex: 0, role: "region", "aria-label": label } }, ...rows);
}
