// Looking for a text inside recorded values. Pure but for the making of text nodes.

import { h } from "../dom";

const MAX_MARKS = 200;

export class Query {
  static readonly none = new Query("");
  private readonly known = new WeakMap<object, boolean>();

  constructor(readonly text: string) {}

  get isAsked(): boolean {
    return this.text !== "";
  }

  /** Where it first is in `text`, whatever the case; -1 where it is not. */
  find(text: string, from = 0): number {
    return this.isAsked ? text.toLowerCase().indexOf(this.text.toLowerCase(), from) : -1;
  }

  /** Whether a key or value anywhere in `value` holds it. */
  isIn(value: unknown): boolean {
    if (!this.isAsked) return false;
    if (typeof value !== "object" || value === null) return this.find(String(value)) >= 0;
    const known = this.known.get(value);
    if (known !== undefined) return known;
    const found = Array.isArray(value)
      ? value.some((item) => this.isIn(item))
      : Object.entries(value).some(([key, item]) => key !== "$ftnb" && (this.find(key) >= 0 || this.isIn(item)));
    this.known.set(value, found);
    return found;
  }
}

/** `text` with what is looked for marked. */
export function highlight(text: string, query: Query): Array<string | Node> {
  let at = query.find(text);
  if (at < 0) return [text];
  const parts: Array<string | Node> = [];
  let done = 0;
  for (let n = 0; at >= 0 && n < MAX_MARKS; n++) {
    parts.push(text.slice(done, at), h("mark", { text: text.slice(at, at + query.text.length) }));
    done = at + query.text.length;
    at = query.find(text, done);
  }
  return [...parts, text.slice(done)];
}
