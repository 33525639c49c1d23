// Recorded values as DOM: a foldable tree, conversations as conversations, tables, images. Everything is set as text.

import { button, h, icon } from "../dom";
import { bytes, count } from "../format";
import type { Preview } from "../protocol.gen";
import { ICON_LOCK, kindLook } from "../status";
import { copyButton } from "./copy";
import { absence, isObject, isWithheld, markerOf, scalarText } from "./markers";
import { asMedia, mediaElement } from "./media";
import { asChat, asMessage, type ChatItem, type Message } from "./messages";
import { highlight, Query } from "./query";
import { asTable, tableElement } from "./table";

/** Children built at once; the rest on request. */
const PAGE = 100;
const OPEN_DEPTH = 1;
/** Longer texts are shown in part, with a way to the rest. */
const LONG_TEXT = 3_000;

export type Fetch = () => Promise<Preview>;

export interface ValueOptions {
  /** What is looked for: what holds it is opened, and it is marked. */
  query?: Query;
  /** Told when the whole of a value that was cut has come. */
  onWhole?: (preview: Preview) => void;
}

/** A value with a line above it: its size, copy, and where it was cut, a way to the whole. */
export function previewElement(preview: Preview, fetch: Fetch | null, options: ValueOptions = {}): HTMLElement {
  let shown = preview;
  const holder = h("div", {}, valueElement(shown.value, options));
  const note = h("div", { class: "ftnb-note" });
  const copy = copyButton(async () => {
    if (shown.cut && fetch) shown = await fetch();
    return asText(shown.value);
  }, preview.cut && !fetch ? "Copy what is here" : "Copy");
  const box = h("div", { class: "ftnb-value" }, copy, holder);
  const whole = preview.n_bytes ? ` of ${bytes(preview.n_bytes)}` : "";
  const say = (text: string, action?: string) => {
    note.replaceChildren(h("span", { class: "ftnb-cut", text }), action ? " " : "");
    if (action) note.append(button(action, load, { class: "ftnb-link" }));
  };
  const load = () => {
    say("Asking the kernel (it answers when it is free) …");
    fetch?.().then(
      (answer) => {
        shown = answer;
        holder.replaceChildren(valueElement(answer.value, options));
        if (answer.cut) say(`More than fits in a view${whole ? `, ${whole.trim().slice(3)}` : ""}; the rest is in Python: select the step and read its input or output.`);
        else note.remove();
        options.onWhole?.(answer);
      },
      (error: unknown) => say(`The whole value is not there: ${error instanceof Error ? error.message : String(error)}.`, "Try again"),
    );
  };
  if (!preview.cut) return box;
  if (fetch) say(`Only a part${whole} is shown.`, "Show all");
  else say(`Only a part${whole} is shown; the whole is in the trace.`);
  box.append(note);
  return box;
}

/** What is copied: text as it is, anything else as JSON. */
export function asText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** Any canonical JSON value. */
export function valueElement(value: unknown, { query = Query.none }: ValueOptions = {}): HTMLElement {
  return new Builder(query).root(value);
}

class Builder {
  constructor(private readonly query: Query) {}

  root(value: unknown): HTMLElement {
    const chat = asChat(value) ?? singleMessage(value);
    if (chat) return this.chat(chat);
    const tree = h("div", { class: "ftnb-tree" });
    if (isObject(value) && markerOf(value) === null) {
      const all = Object.entries(value);
      // What was said comes first: it is what most people look for in a state.
      const isChat = new Set(all.filter(([, part]) => asChat(part)));
      const entries = [...isChat, ...all.filter((entry) => !isChat.has(entry))];
      if (!entries.length) tree.append(h("span", { class: "hint", text: "{ } empty" }));
      this.paged(tree, entries.length, (i) => this.entry(entries[i]?.[0] ?? "", entries[i]?.[1], 0), (i) => this.query.isIn(entries[i]));
    } else {
      tree.append(this.entry(null, value, 0));
    }
    return tree;
  }

  entry(key: string | null, value: unknown, depth: number): HTMLElement {
    const label = key === null ? null : h("span", { class: "key" }, ...highlight(key, this.query), ": ");
    const chat = key === null ? null : asChat(value);
    if (chat) {
      const title = h("summary", {}, h("span", { class: "key" }, ...highlight(key ?? "", this.query)), h("span", { class: "hint", text: `${chat.length} ${chat.length === 1 ? "message" : "messages"}` }));
      return h("details", { attrs: { open: true } }, title, this.chat(chat));
    }
    const media = asMedia(value);
    if (media) return h("div", { class: "row" }, label, mediaElement(media));
    const parts = this.parts(value);
    if (!parts) return h("div", { class: "row" }, label, this.scalar(value));
    if (!parts.size) return h("div", { class: "row" }, label, h("span", { class: "hint", text: parts.hint }));
    return this.fold(label, value, parts, depth);
  }

  private fold(label: HTMLElement | null, value: unknown, parts: Parts, depth: number): HTMLElement {
    const table = asTable(value);
    const children = h("div", { class: "children" });
    const hint = h("span", { class: "hint", text: table ? `${parts.hint}, as a table` : parts.hint });
    const fold = h("details", {}, h("summary", {}, label, hint), children);
    // Built when first opened: a value may hold very much.
    const fill = () => {
      if (children.childNodes.length) return;
      if (table) children.append(tableElement(table, (cell) => this.scalar(cell)));
      else this.paged(children, parts.size, (i) => parts.child(i, depth + 1), parts.holds);
    };
    fold.addEventListener("toggle", () => fold.open && fill());
    if ((depth < OPEN_DEPTH && parts.size <= 20) || (this.query.isAsked && this.query.isIn(value))) {
      fill();
      fold.open = true;
    }
    return fold;
  }

  /** The parts of a value that has any; null for single values. */
  private parts(value: unknown): Parts | null {
    if (Array.isArray(value)) return this.list(value, "");
    if (!isObject(value)) return null;
    switch (markerOf(value)) {
      case null:
        return this.dict(value, "");
      case "tuple": case "set": case "frozenset":
        return Array.isArray(value.items) ? this.list(value.items, `${String(value.$ftnb)}, `) : null;
      case "dict":
        return Array.isArray(value.items) ? this.pairs(value.items) : null;
      case "object":
        if (isObject(value.data)) return this.dict(value.data, `${String(value.type)}, `);
        return Array.isArray(value.data) ? this.list(value.data, `${String(value.type)}, `) : null;
      case "cut": {
        const head = value.head;
        return isObject(head) ? this.dict(head, `${absence(value) ?? ""}; `) : null;
      }
      default:
        return null;
    }
  }

  private list(items: unknown[], kind: string): Parts {
    return {
      size: items.length,
      hint: `[ ] ${kind}${count(items.length)} ${items.length === 1 ? "item" : "items"}`,
      child: (i, depth) => this.entry(String(i), items[i], depth),
      holds: (i) => this.query.isIn(items[i]),
    };
  }

  private dict(value: Record<string, unknown>, kind: string): Parts {
    const entries = Object.entries(value);
    return {
      size: entries.length,
      hint: `{ } ${kind}${count(entries.length)} ${entries.length === 1 ? "key" : "keys"}`,
      child: (i, depth) => this.entry(entries[i]?.[0] ?? "", entries[i]?.[1], depth),
      holds: (i) => this.query.isIn(entries[i]),
    };
  }

  private pairs(pairs: unknown[]): Parts {
    const text = (key: unknown) => (typeof key === "string" ? key : JSON.stringify(key)).slice(0, 200);
    return {
      size: pairs.length,
      hint: `{ } ${count(pairs.length)} keys`,
      child: (i, depth) => {
        const [key, value] = Array.isArray(pairs[i]) ? (pairs[i] as unknown[]) : [i, pairs[i]];
        return this.entry(text(key), value, depth);
      },
      holds: (i) => this.query.isIn(pairs[i]),
    };
  }

  /** Children page by page; while something is looked for, as far as the last that holds it. */
  private paged(box: HTMLElement, size: number, child: (index: number) => HTMLElement, holds: (index: number) => boolean, from = 0): void {
    let until = Math.min(from + PAGE, size);
    if (this.query.isAsked) for (let i = until; i < Math.min(size, from + 20 * PAGE); i++) if (holds(i)) until = i + 1;
    for (let i = from; i < until; i++) box.append(child(i));
    if (until >= size) return;
    const more = button(`Show ${count(Math.min(PAGE, size - until))} more of ${count(size - until)}`, () => {
      more.remove();
      this.paged(box, size, child, holds, until);
    }, { class: "ftnb-link" });
    box.append(more);
  }

  scalar(value: unknown): HTMLElement {
    if (typeof value === "string") return value === "" ? h("span", { class: "str", text: '""' }) : this.text(value, "str");
    if (typeof value === "number") return h("span", { class: "num" }, ...highlight(String(value), this.query));
    if (!isObject(value)) return h("span", { class: "lit" }, ...highlight(String(value), this.query));
    const missing = absence(value);
    if (missing !== null) {
      if (isWithheld(value)) return h("span", { class: "ftnb-withheld" }, icon(ICON_LOCK), missing);
      const head = typeof value.head === "string" ? this.text(value.head, "str") : null;
      return h("span", {}, head, h("span", { class: "ftnb-cut", text: head ? ` ${missing}` : missing }));
    }
    const text = scalarText(value) ?? JSON.stringify(value);
    const kind = value.$ftnb === "object" ? String(value.type) : String(value.$ftnb);
    return h("span", {}, this.text(text, "str"), h("span", { class: "hint", text: ` ${kind}` }));
  }

  /** A text; a long one in part, with a button for the rest. */
  private text(text: string, className: string): HTMLElement {
    const at = this.query.isAsked ? this.query.find(text) : -1;
    if (text.length <= LONG_TEXT * 1.5 || at > LONG_TEXT) return h("span", { class: className }, ...highlight(text, this.query));
    const box = h("span", { class: className }, ...highlight(text.slice(0, LONG_TEXT), this.query));
    box.append(" ", button(`Show ${count(text.length - LONG_TEXT)} more characters`, () => box.replaceChildren(...highlight(text, this.query)), { class: "ftnb-link" }));
    return box;
  }

  chat(chat: ChatItem[], isNew: (index: number) => boolean = () => false): HTMLElement {
    const box = h("div", { class: "ftnb-chat" });
    this.paged(box, chat.length, (i) => {
      const item = chat[i];
      if (item && "message" in item) return this.message(item.message, isNew(i));
      const marker = item?.marker ?? {};
      const withheld = isWithheld(marker);
      return h("div", { class: "ftnb-note" }, h("span", { class: withheld ? "ftnb-withheld" : "ftnb-cut" }, withheld && icon(ICON_LOCK), absence(marker) ?? "…"));
    }, (i) => this.query.isIn(chat[i]));
    return box;
  }

  private message(message: Message, isNew: boolean): HTMLElement {
    const who = message.name ? `${message.role} · ${message.name}` : message.role;
    const title = h("div", { class: "who" }, h("span", { text: who }), isNew && h("span", { class: "ftnb-tag", text: "new" }));
    const box = h("div", { class: "ftnb-message", attrs: { "data-role": message.role } }, title);
    const parts = Array.isArray(message.content) ? message.content : [message.content];
    for (const part of parts) {
      const text = isObject(part) && typeof part.text === "string" ? part.text : part;
      if (text === "" || text === null) continue;
      const media = asMedia(text) ?? asMedia(imageOf(part));
      if (media) box.append(mediaElement(media));
      else if (typeof text === "string") box.append(h("div", { class: "text" }, this.text(text, "")));
      else if (markerOf(text) !== null) box.append(h("div", { class: "text" }, this.scalar(text)));
      else box.append(h("div", { class: "ftnb-tree" }, this.entry(null, text, 1)));
    }
    for (const call of message.toolCalls) {
      const args = typeof call.args === "string" ? parseOr(call.args) : call.args;
      box.append(
        h("div", { class: "call" }, icon(kindLook("tool_call").path), " ", h("b", {}, ...highlight(call.name, this.query))),
        h("div", { class: "ftnb-tree" }, this.entry("arguments", args, 0)),
      );
    }
    return box;
  }
}

interface Parts {
  size: number;
  hint: string;
  child(index: number, depth: number): HTMLElement;
  holds(index: number): boolean;
}

/** A conversation; `isNew` marks what was added. */
export function chatElement(chat: ChatItem[], isNew: (index: number) => boolean, query: Query): HTMLElement {
  return new Builder(query).chat(chat, isNew);
}

function singleMessage(value: unknown): ChatItem[] | null {
  const message = asMessage(value);
  return message ? [{ message }] : null;
}

/** The picture in a part of a message, in the shapes that providers use. */
function imageOf(part: unknown): unknown {
  if (!isObject(part)) return null;
  const { image_url: link, source, data } = part;
  if (typeof link === "string") return link;
  if (isObject(link)) return link.url;
  if (isObject(source)) return source.data;
  return data ?? null;
}

function parseOr(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
