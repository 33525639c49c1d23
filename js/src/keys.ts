// What keys do, in one list: the handler and the help read the same.

import { h } from "./dom";

export interface Key {
  /** As `KeyboardEvent.key`. */
  keys: string[];
  shown: string;
  does: string;
}

export const KEYS: readonly Key[] = [
  { keys: ["ArrowRight"], shown: "→", does: "to the step that this one led to" },
  { keys: ["ArrowLeft"], shown: "←", does: "back to the step that led here" },
  { keys: ["ArrowDown"], shown: "↓", does: "to the next step in time" },
  { keys: ["ArrowUp"], shown: "↑", does: "to the step before in time" },
  { keys: ["Home", "End"], shown: "Home End", does: "to the first or last step" },
  { keys: ["f"], shown: "f", does: "to the first failure, and again: to the next" },
  { keys: ["/"], shown: "/", does: "search steps and what they hold" },
  { keys: ["n", "N"], shown: "n N", does: "to the next or previous match" },
  { keys: ["[", "]"], shown: "[ ]", does: "to the previous or next tab of the inspector" },
  { keys: ["Enter"], shown: "Enter", does: "into the inspector" },
  { keys: ["Escape"], shown: "Esc", does: "out again; then select nothing" },
  { keys: ["+", "-", "0"], shown: "+ − 0", does: "zoom in, out, show all (graph or timeline, where the focus is)" },
  { keys: ["?"], shown: "?", does: "this list" },
];

const POINTER: ReadonlyArray<readonly [string, string]> = [
  ["click", "select a step; with Ctrl or Shift: several"],
  ["drag", "move the graph or the timeline"],
  ["Ctrl + wheel", "zoom"],
  ["double click", "on the timeline: show all"],
];

/** The overlay that lists the keys. It closes by its button, by Escape and by a click beside it. */
export class Help {
  readonly element: HTMLElement;
  private before: HTMLElement | null = null;
  private readonly close = h("button", { class: "ftnb-button", text: "Close", attrs: { type: "button" } });

  constructor() {
    const list = h("dl", { class: "ftnb-keys" });
    for (const { shown, does } of KEYS) {
      const keys = shown.split(" ").map((key) => h("kbd", { text: key }));
      list.append(h("dt", {}, ...keys), h("dd", { text: does }));
    }
    for (const [what, does] of POINTER) list.append(h("dt", { text: what }), h("dd", { text: does }));
    const box = h(
      "div",
      { class: "ftnb-help-box", attrs: { role: "dialog", "aria-modal": "true", "aria-label": "Keyboard and mouse" } },
      h("div", { class: "ftnb-help-title" }, h("b", { text: "Keyboard and mouse" }), this.close),
      list,
    );
    this.element = h("div", { class: "ftnb-help", attrs: { hidden: true } }, box);
    this.close.addEventListener("click", () => this.hide());
    this.element.addEventListener("click", (event) => event.target === this.element && this.hide());
    this.element.addEventListener("keydown", (event) => {
      // Nothing behind it is reached by key while it is open.
      event.stopPropagation();
      if (event.key === "Escape" || event.key === "?") this.hide();
      if (event.key === "Tab") event.preventDefault();
      if (event.key !== "Tab" && event.key !== "Escape" && event.key !== "?") return;
      event.preventDefault();
    });
  }

  get isOpen(): boolean {
    return !this.element.hidden;
  }

  toggle(): void {
    if (this.isOpen) this.hide();
    else this.show();
  }

  private show(): void {
    const root = this.element.getRootNode() as Document | ShadowRoot;
    this.before = root.activeElement instanceof HTMLElement ? root.activeElement : null;
    this.element.hidden = false;
    this.close.focus({ preventScroll: true });
  }

  private hide(): void {
    this.element.hidden = true;
    this.before?.focus({ preventScroll: true });
  }
}
