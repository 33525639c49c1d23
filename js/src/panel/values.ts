// Recorded values as DOM: a foldable tree, conversations as conversations. Everything is set as text.

import { button, h, icon } from "../dom";
import { bytes, count } from "../format";
import type { Preview } from "../protocol.gen";
import { kindLook } from "../status";
import { absence, isObject, markerOf, scalarText } from "./markers";
import { asChat, asMessage, type ChatItem, type Message } from "./messages";

/** Children built at once; the rest on request. */
const PAGE = 100;
const OPEN_DEPTH = 1;

export type Fetch = () => Promise<Preview>;

/** A value with, where it was cut, a line that says so and a way to the whole. */
export function previewElement(preview: Preview, fetch: Fetch | null): HTMLElement {
  const box = h("div", {}, valueElement(preview.value));
  if (!preview.cut) return box;
  const note = h("div", { class: "ftnb-note" });
  const whole = preview.n_bytes ? ` of ${bytes(preview.n_bytes)}` : "";
  const say = (text: string, action?: string) => {
    note.replaceChildren(h("span", { class: "ftnb-cut", text }), action ? " " : "");
    if (action) note.append(button(action, load, { class: "ftnb-link" }));
  };
  const load = () => {
    say("Asking the kernel (it answers when it is free) …");
    fetch?.().then(
      (answer) => box.replaceChildren(valueElement(answer.value)),
      (error: unknown) => say(`The whole value is not there: ${error instanceof Error ? error.message : String(error)}.`, "Try again"),
    );
  };
  if (fetch) say(`Only a part${whole} is shown.`, "Show all");
  else say(`Only a part${whole} is shown; the whole is in the trace.`);
  box.append(note);
  return box;
}

/** Any canonical JSON value. */
export function valueElement(value: unknown): HTMLElement {
  const chat = asChat(value) ?? singleMessage(value);
  if (chat) return chatElement(chat);
  const tree = h("div", { class: "ftnb-tree" });
  if (isObject(value) && markerOf(value) === null) {
    const all = Object.entries(value);
    // What was said comes first: it is what most people look for in a state.
    const isChat = new Set(all.filter(([, part]) => asChat(part)));
    const entries = [...isChat, ...all.filter((entry) => !isChat.has(entry))];
    if (!entries.length) tree.append(h("span", { class: "hint", text: "{ } empty" }));
    paged(tree, entries.length, (i) => entryElement(entries[i]?.[0] ?? "", entries[i]?.[1], 0));
  } else {
    tree.append(entryElement(null, value, 0));
  }
  return tree;
}

function singleMessage(value: unknown): ChatItem[] | null {
  const message = asMessage(value);
  return message ? [{ message }] : null;
}

function entryElement(key: string | null, value: unknown, depth: number): HTMLElement {
  const label = key === null ? null : h("span", { class: "key", text: `${key}: ` });
  const chat = key === null ? null : asChat(value);
  if (chat) {
    const title = h("summary", {}, h("span", { class: "key", text: key ?? "" }), h("span", { class: "hint", text: `${chat.length} messages` }));
    return h("details", { attrs: { open: true } }, title, chatElement(chat));
  }
  const parts = partsOf(value);
  if (!parts) return h("div", { class: "row" }, label, scalarElement(value));
  if (!parts.size) return h("div", { class: "row" }, label, h("span", { class: "hint", text: parts.hint }));
  const children = h("div", { class: "children" });
  const fold = h("details", {}, h("summary", {}, label, h("span", { class: "hint", text: parts.hint })), children);
  // Built when first opened: a value may hold very much.
  const fill = () => {
    if (!children.childNodes.length) paged(children, parts.size, (i) => parts.child(i, depth + 1));
  };
  fold.addEventListener("toggle", () => fold.open && fill());
  if (depth < OPEN_DEPTH && parts.size <= 12) {
    fill();
    fold.open = true;
  }
  return fold;
}

interface Parts {
  size: number;
  hint: string;
  child(index: number, depth: number): HTMLElement;
}

/** The parts of a value that has any; null for single values. */
function partsOf(value: unknown): Parts | null {
  if (Array.isArray(value)) return listParts(value, "");
  if (!isObject(value)) return null;
  switch (markerOf(value)) {
    case null:
      return dictParts(value, "");
    case "tuple": case "set": case "frozenset":
      return Array.isArray(value.items) ? listParts(value.items, `${String(value.$ftnb)}, `) : null;
    case "dict":
      return Array.isArray(value.items) ? pairParts(value.items) : null;
    case "object":
      if (isObject(value.data)) return dictParts(value.data, `${String(value.type)}, `);
      return Array.isArray(value.data) ? listParts(value.data, `${String(value.type)}, `) : null;
    case "cut": {
      const head = value.head;
      return isObject(head) ? dictParts(head, `${absence(value) ?? ""}; `) : null;
    }
    default:
      return null;
  }
}

function listParts(items: unknown[], kind: string): Parts {
  return {
    size: items.length,
    hint: `[ ] ${kind}${count(items.length)} ${items.length === 1 ? "item" : "items"}`,
    child: (i, depth) => entryElement(String(i), items[i], depth),
  };
}

function dictParts(value: Record<string, unknown>, kind: string): Parts {
  const entries = Object.entries(value);
  return {
    size: entries.length,
    hint: `{ } ${kind}${count(entries.length)} ${entries.length === 1 ? "key" : "keys"}`,
    child: (i, depth) => entryElement(entries[i]?.[0] ?? "", entries[i]?.[1], depth),
  };
}

function pairParts(pairs: unknown[]): Parts {
  const text = (key: unknown) => (typeof key === "string" ? key : JSON.stringify(key)).slice(0, 200);
  return {
    size: pairs.length,
    hint: `{ } ${count(pairs.length)} keys`,
    child: (i, depth) => {
      const [key, value] = Array.isArray(pairs[i]) ? (pairs[i] as unknown[]) : [i, pairs[i]];
      return entryElement(text(key), value, depth);
    },
  };
}

function paged(box: HTMLElement, size: number, child: (index: number) => HTMLElement, from = 0): void {
  const until = Math.min(from + PAGE, size);
  for (let i = from; i < until; i++) box.append(child(i));
  if (until >= size) return;
  const more = button(`Show ${count(Math.min(PAGE, size - until))} more of ${count(size - until)}`, () => {
    more.remove();
    paged(box, size, child, until);
  }, { class: "ftnb-link" });
  box.append(more);
}

function scalarElement(value: unknown): HTMLElement {
  if (typeof value === "string") return h("span", { class: "str", text: value === "" ? '""' : value });
  if (typeof value === "number") return h("span", { class: "num", text: String(value) });
  if (!isObject(value)) return h("span", { class: "lit", text: String(value) });
  const missing = absence(value);
  if (missing !== null) {
    const head = typeof value.head === "string" ? h("span", { class: "str", text: value.head }) : null;
    return h("span", {}, head, h("span", { class: "ftnb-cut", text: head ? ` ${missing}` : missing }));
  }
  const text = scalarText(value) ?? JSON.stringify(value);
  const kind = value.$ftnb === "object" ? String(value.type) : String(value.$ftnb);
  return h("span", {}, h("span", { class: "str", text }), h("span", { class: "hint", text: ` ${kind}` }));
}

function chatElement(chat: ChatItem[]): HTMLElement {
  const box = h("div", { class: "ftnb-chat" });
  paged(box, chat.length, (i) => {
    const item = chat[i];
    if (item && "message" in item) return messageElement(item.message);
    return h("div", { class: "ftnb-note" }, h("span", { class: "ftnb-cut", text: (item && absence(item.marker)) ?? "…" }));
  });
  return box;
}

function messageElement(message: Message): HTMLElement {
  const who = message.name ? `${message.role} · ${message.name}` : message.role;
  const box = h("div", { class: "ftnb-message", attrs: { "data-role": message.role } }, h("div", { class: "who", text: who }));
  const parts = Array.isArray(message.content) ? message.content : [message.content];
  for (const part of parts) {
    const text = isObject(part) && typeof part.text === "string" ? part.text : part;
    if (text === "" || text === null) continue;
    if (typeof text === "string") box.append(h("div", { class: "text", text }));
    else if (markerOf(text) !== null) box.append(h("div", { class: "text" }, scalarElement(text)));
    else box.append(h("div", { class: "ftnb-tree" }, entryElement(null, text, 1)));
  }
  for (const call of message.toolCalls) {
    const args = typeof call.args === "string" ? parseOr(call.args) : call.args;
    box.append(
      h("div", {}, icon(kindLook("tool_call").path), " ", h("b", { text: call.name })),
      h("div", { class: "ftnb-tree" }, entryElement("arguments", args, 0)),
    );
  }
  return box;
}

function parseOr(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
