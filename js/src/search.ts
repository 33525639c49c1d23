// The search line: narrows the steps down by text, and by what Python's `filter` asked.

import { button, h, icon } from "./dom";
import { count } from "./format";
import { describeFilter, NO_FILTER } from "./filter";
import type { Filter } from "./protocol.gen";
import { ICON_CLOSE, ICON_NEXT, ICON_PREVIOUS } from "./status";

export interface SearchEvents {
  onFilter(filter: Filter | null): void;
  /** To the next (1) or previous (-1) match. */
  onMove(by: number): void;
  onClose(): void;
}

const PAUSE_MS = 150;

export class SearchBar {
  readonly element: HTMLElement;
  readonly input = h("input", { attrs: { type: "search", placeholder: "Search steps, messages, tools, errors …", "aria-label": "Search in this run", spellcheck: "false" } });
  private readonly more = h("span", { class: "ftnb-chip" });
  private readonly matches = h("small", { attrs: { role: "status" } });
  private filter: Filter = NO_FILTER;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly events: SearchEvents) {
    const move = (by: number, path: string, label: string) =>
      button(icon(path), () => this.events.onMove(by), { title: label, attrs: { "aria-label": label } });
    this.element = h(
      "div",
      { class: "ftnb-search", attrs: { role: "search", hidden: true } },
      this.input,
      this.more,
      this.matches,
      move(-1, ICON_PREVIOUS, "Previous match (Shift+Enter)"),
      move(1, ICON_NEXT, "Next match (Enter)"),
      button(icon(ICON_CLOSE), () => this.close(), { title: "Clear the search (Esc)", attrs: { "aria-label": "Clear the search" } }),
    );
    this.input.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.commit(), PAUSE_MS);
    });
    this.input.addEventListener("keydown", (event) => {
      // What is typed here is not for the view or for Jupyter's command mode.
      event.stopPropagation();
      if (event.key === "Enter") {
        this.commit();
        this.events.onMove(event.shiftKey ? -1 : 1);
      } else if (event.key === "Escape") this.close();
      else return;
      event.preventDefault();
    });
  }

  open(): void {
    this.element.hidden = false;
    this.input.focus({ preventScroll: true });
    this.input.select();
  }

  close(): void {
    clearTimeout(this.timer);
    this.input.value = "";
    this.element.hidden = true;
    this.filter = NO_FILTER;
    this.events.onFilter(null);
    this.events.onClose();
  }

  /** Show what the filter is and how much it picks; null steps: nothing is asked. `note` says what was not searched. */
  show(filter: Filter | null, picked: number | null, total: number, note: string): void {
    this.filter = filter ?? NO_FILTER;
    const text = this.filter.text ?? "";
    if (this.input.value !== text && !this.isTyping()) this.input.value = text;
    const rest = describeFilter({ ...this.filter, text: null });
    this.more.textContent = rest;
    this.more.hidden = !rest;
    this.matches.textContent = picked === null ? "" : `${count(picked)} of ${count(total)}${note}`;
    if (picked !== null) this.element.hidden = false;
  }

  private isTyping(): boolean {
    const root = this.element.getRootNode() as Document | ShadowRoot;
    return root.activeElement === this.input;
  }

  private commit(): void {
    clearTimeout(this.timer);
    const text = this.input.value.trim() || null;
    if (text !== this.filter.text) this.events.onFilter({ ...this.filter, text });
  }
}
