// What every view of the bundle has in common: its root, its theme, and that keys stay in it.

import { h } from "./dom";
import graphCss from "./graph/graph.css";
import css from "./styles.css";
import { applyTheme, type Theme, watchTheme } from "./theme";
import timelineCss from "./timeline/timeline.css";

export class Shell {
  readonly root = h("div", { class: "ftnb", attrs: { role: "group" } });
  readonly head = h("div", { class: "ftnb-head" });
  readonly panel = h("div", { class: "ftnb-panel ftnb-facts-panel", attrs: { tabindex: 0, role: "region", "aria-label": "Details" } });
  private readonly aloud = h("div", { class: "ftnb-aloud", attrs: { "aria-live": "polite" } });

  constructor(private readonly signal: AbortSignal, private readonly paint: (theme: Theme) => void) {}

  mount(el: HTMLElement, label: string, onKey: (key: string) => boolean, ...content: Node[]): void {
    const { root, signal } = this;
    root.setAttribute("aria-label", label);
    // Inside the element and not in the page's head: some hosts put it into a shadow root.
    root.append(h("style", { text: css + graphCss + timelineCss }), this.head, ...content, this.aloud);
    root.addEventListener("keydown", (event) => {
      root.dataset.input = "key";
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const isField = (event.target as HTMLElement).matches("input, select");
      const isHandled = !isField && onKey(event.key);
      // Jupyter's command mode would act on it too.
      if (isField || isHandled) event.stopPropagation();
      if (isHandled) event.preventDefault();
    }, { signal });
    root.addEventListener("pointerdown", () => (root.dataset.input = "pointer"), { signal, capture: true });
    el.append(root);
    this.paint(applyTheme(root));
    watchTheme(() => this.paint(applyTheme(root)), signal);
  }

  say(text: string): void {
    this.aloud.textContent = text;
  }
}

/** A table of facts; `head` names its columns. */
export function factTable(caption: string, head: readonly string[], rows: ReadonlyArray<readonly string[]>): HTMLElement {
  return h(
    "table",
    { class: "ftnb-fact-table" },
    h("caption", { text: caption }),
    h("thead", {}, h("tr", {}, ...head.map((text) => (text ? h("th", { text, attrs: { scope: "col" } }) : h("td"))))),
    h("tbody", {}, ...rows.map(([name = "", ...values]) => h("tr", {}, h("th", { text: name, attrs: { scope: "row" } }), ...values.map((text) => h("td", { text: text.slice(0, 400) }))))),
  );
}
