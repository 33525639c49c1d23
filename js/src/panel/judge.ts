// What people said about a step or a run, and the buttons to say it.

import { button, h, icon } from "../dom";
import type { Host, Judgement } from "../host";
import type { AnnotationRow } from "../protocol.gen";
import { ICON_NOTE, ICON_TAG, statusLook } from "../status";

/** `step` is an id; null: the engagement. */
export function judgeElement(host: Host, rows: readonly AnnotationRow[], step: string | null, onSay: (text: string) => void): HTMLElement {
  const box = h("div", { class: "ftnb-judge" });
  for (const row of rows) box.append(rowElement(row));
  const { annotate } = host;
  if (!annotate) return box;
  const note = h("div", { class: "ftnb-note", attrs: { hidden: true } });
  const form = h("div");
  const save = (judgement: Omit<Judgement, "step">) => {
    note.hidden = false;
    note.textContent = "Saving (the kernel answers when it is free) …";
    annotate({ step, ...judgement }).then(
      () => {
        note.hidden = true;
        form.replaceChildren();
        onSay("Saved");
      },
      (error: unknown) => {
        note.textContent = `Not saved: ${error instanceof Error ? error.message : String(error)}`;
      },
    );
  };
  const act = (label: string, path: string, title: string, onClick: () => void) => {
    const own = button(icon(path), onClick, { class: "ftnb-button", title, attrs: { disabled: !host.connected() } });
    own.append(label);
    return own;
  };
  const what = step === null ? "run" : "step";
  box.append(
    h(
      "div",
      { class: "ftnb-judge-buttons", attrs: { role: "group", "aria-label": `Judge this ${what}` } },
      act("Right", statusLook("completed").path, `Put on record that this ${what} is right`, () => save({ label: "correct", value: true, note: null })),
      act("Wrong", statusLook("failed").path, `Put on record that this ${what} is wrong`, () => save({ label: "correct", value: false, note: null })),
      act("Label", ICON_TAG, "Put a label with a value on record", () => form.replaceChildren(labelForm(save, () => form.replaceChildren()))),
      act("Note", ICON_NOTE, "Put a note on record", () => form.replaceChildren(noteForm(save, () => form.replaceChildren()))),
    ),
    form,
    note,
  );
  return box;
}

function rowElement(row: AnnotationRow): HTMLElement {
  const said = row.label === "correct" ? (row.value === true ? "right" : row.value === false ? "wrong" : `correct: ${String(row.value)}`)
    : row.value === true ? row.label : `${row.label}: ${String(row.value)}`;
  const look = row.label === "correct" ? statusLook(row.value === false || row.value === 0 ? "failed" : "completed") : null;
  const chip = h("span", { class: "ftnb-chip" }, icon(look?.path ?? ICON_TAG), said);
  if (look) chip.style.setProperty("--c", `var(${look.color})`);
  const when = new Date(row.at);
  return h(
    "div",
    { class: "ftnb-judged" },
    chip,
    row.note && h("span", { class: "note", text: row.note }),
    h("small", { text: [row.by, when.toLocaleString()].filter(Boolean).join(", ") }),
  );
}

type Save = (judgement: Omit<Judgement, "step">) => void;

function labelForm(save: Save, cancel: () => void): HTMLElement {
  const label = h("input", { attrs: { type: "text", placeholder: "label, as tone", "aria-label": "Label", maxlength: 200 } });
  const value = h("input", { attrs: { type: "text", placeholder: "value, as 4 or rude (empty: yes)", "aria-label": "Value", maxlength: 2000 } });
  return formElement([label, value], () => {
    const name = label.value.trim();
    if (name) save({ label: name, value: parseValue(value.value), note: null });
    return name !== "";
  }, cancel);
}

function noteForm(save: Save, cancel: () => void): HTMLElement {
  const text = h("textarea", { attrs: { rows: 3, placeholder: "What should others know?", "aria-label": "Note" } });
  return formElement([text], () => {
    const note = text.value.trim();
    if (note) save({ label: "note", value: true, note });
    return note !== "";
  }, cancel);
}

function formElement(fields: Array<HTMLInputElement | HTMLTextAreaElement>, submit: () => boolean, cancel: () => void): HTMLElement {
  const form = h("form", { class: "ftnb-form" }, ...fields, h("button", { class: "ftnb-button", text: "Save", attrs: { type: "submit" } }), button("Cancel", cancel, { class: "ftnb-button" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!submit()) fields[0]?.focus();
  });
  queueMicrotask(() => fields[0]?.focus({ preventScroll: true }));
  return form;
}

/** "4" is a number, "true" and nothing are yes, "false" is no, anything else is text. */
export function parseValue(text: string): boolean | number | string {
  const trimmed = text.trim();
  if (trimmed === "" || trimmed === "true") return true;
  if (trimmed === "false") return false;
  return /^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(trimmed) && Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
}
