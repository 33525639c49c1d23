// One view: header, graph, panel and timeline, joined by one selection.

import { button, h, icon } from "./dom";
import { count, duration, plural } from "./format";
import { GraphView } from "./graph/view";
import type { Host } from "./host";
import { PanelView } from "./panel/view";
import { PROTOCOL_VERSION } from "./protocol.gen";
import { Run } from "./run";
import { ICON_WARNING, statusLook } from "./status";
import css from "./styles.css";
import { applyTheme, watchTheme } from "./theme";
import { TimelineView } from "./timeline/view";

export class App {
  readonly root = h("div", { class: "ftnb", attrs: { role: "group" } });
  readonly graph: GraphView;
  readonly timeline: TimelineView;
  readonly panel: PanelView;
  private readonly head = h("div", { class: "ftnb-head" });
  private readonly aloud = h("div", { class: "ftnb-aloud", attrs: { "aria-live": "polite" } });
  private run: Run;
  private selected: number[] = [];

  constructor(private readonly host: Host, private readonly signal: AbortSignal) {
    this.run = new Run(host.payload());
    this.graph = new GraphView({
      onNode: (node, add) => {
        const step = this.run.stepForNode(node, this.primary);
        if (step !== null) this.choose(step, add);
        else this.say(`${this.run.payload.nodes[node]?.label ?? "This node"} was not executed`);
      },
      onHover: (node) => this.timeline.hover(node === null ? null : this.run.stepForNode(node, this.primary)),
      onBackground: () => {},
    }, signal);
    const onHover = (step: number | null) => {
      this.graph.hover(step === null ? null : this.run.step(step).node);
      this.timeline.hover(step);
    };
    this.timeline = new TimelineView({ onStep: (step, add, event) => this.choose(step, add, event), onHover }, signal);
    this.panel = new PanelView(host, { onStep: (step) => this.choose(step, false), onHome: () => this.set([]), onHover });
    this.root.append(
      // Inside the element and not in the page's head: some hosts put it into a shadow root.
      h("style", { text: css }),
      this.head,
      h("div", { class: "ftnb-main" }, this.graph.element, this.panel.element),
      this.timeline.element,
      this.aloud,
    );
    this.root.addEventListener("keydown", (event) => this.onKey(event), { signal });
    // A ring round the focus is for those who move it by key.
    this.root.addEventListener("keydown", () => (this.root.dataset.input = "key"), { signal, capture: true });
    this.root.addEventListener("pointerdown", () => (this.root.dataset.input = "pointer"), { signal, capture: true });
    host.onChange((what) => (what === "payload" ? this.reload() : this.follow()));
  }

  /** Put the view into `el`. */
  mount(el: HTMLElement): void {
    el.append(this.root);
    this.paint();
    watchTheme(() => this.paint(), this.signal);
    this.reload();
    this.root.dataset.ready = "1";
  }

  private get primary(): number | null {
    return this.selected.at(-1) ?? null;
  }

  private paint(): void {
    const theme = applyTheme(this.root);
    this.graph.paint(theme);
    this.timeline.paint(theme);
  }

  /** The payload changed: draw all of it. */
  private reload(): void {
    const payload = this.host.payload();
    if (payload.v !== PROTOCOL_VERSION) {
      this.root.replaceChildren(h("p", { text: `This view speaks protocol ${PROTOCOL_VERSION}, the trace ${payload.v}. Restart the kernel and reload the page.` }));
      return;
    }
    this.run = new Run(payload);
    this.selected = this.run.indexes(this.host.selection());
    this.root.setAttribute("aria-label", `Engagement ${payload.engagement.name}, ${payload.engagement.status}`);
    this.showHead();
    this.graph.show(this.run);
    this.timeline.show(this.run);
    this.showSelection(null);
  }

  /** The other side changed the selection. */
  private follow(): void {
    const next = this.run.indexes(this.host.selection());
    if (next.join() === this.selected.join()) return;
    this.selected = next;
    this.showSelection(null);
  }

  private choose(step: number, add: boolean, event: number | null = null): void {
    if (!add) this.set([step], event);
    else if (this.selected.includes(step)) this.set(this.selected.filter((one) => one !== step), event);
    else this.set([...this.selected, step], event);
  }

  private set(steps: number[], event: number | null = null): void {
    const changed = steps.join() !== this.selected.join();
    this.selected = steps;
    this.showSelection(event);
    if (changed) this.host.select(this.run.ids(steps));
  }

  private showSelection(event: number | null): void {
    this.graph.select(this.selected);
    this.timeline.select(this.selected);
    this.panel.show(this.run, this.primary, event);
    this.root.dataset.selection = this.run.ids(this.selected).join(" ");
    if (this.primary !== null) this.say(this.run.describe(this.primary));
  }

  private say(text: string): void {
    this.aloud.textContent = text;
  }

  private showHead(): void {
    const { engagement, gaps, steps } = this.run.payload;
    const look = statusLook(engagement.status);
    const chip = h("span", { class: "ftnb-chip" }, icon(look.path), look.word);
    chip.style.setProperty("--c", `var(${look.color})`);
    const fact = (value: string, unit: string) => h("span", {}, h("b", { text: value }), ` ${unit}`);
    this.head.replaceChildren(
      h("span", { class: "ftnb-name", text: engagement.name, title: `${engagement.name}\n${engagement.id}` }),
      chip,
      h(
        "span",
        { class: "ftnb-facts" },
        h("span", {}, h("b", { text: duration(engagement.duration_ms) })),
        fact(count(steps.length), steps.length === 1 ? "step" : "steps"),
        engagement.n_turns > 1 && fact(count(engagement.n_turns), "turns"),
        engagement.total_tokens > 0 && fact(count(engagement.total_tokens), "tokens"),
      ),
      h("span", { class: "ftnb-spacer" }),
      ...this.badges(engagement.n_failing_steps, gaps.reduce((sum, gap) => sum + gap.count, 0)),
    );
  }

  private badges(failing: number, missing: number): HTMLElement[] {
    const badges: HTMLElement[] = [];
    if (failing) {
      const open = () => {
        const first = this.run.firstFailing();
        if (first !== null) this.choose(first, false);
      };
      badges.push(button(null, open, { class: "ftnb-chip", title: "Go to the first step with an error" }));
      badges.at(-1)?.append(icon(statusLook("failed").path), plural(failing, "step with errors", "steps with errors"));
      badges.at(-1)?.style.setProperty("--c", "var(--ftnb-failed)");
    }
    if (missing) {
      badges.push(button(null, () => this.set([]), { class: "ftnb-chip", title: "This trace is not whole; the list says what is missing" }));
      badges.at(-1)?.append(icon(ICON_WARNING), `${plural(missing, "record")} missing`);
      badges.at(-1)?.style.setProperty("--c", "var(--ftnb-running)");
    }
    return badges;
  }

  private onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as HTMLElement;
    const inBody = target.closest(".ftnb-body") !== null;
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const handled = () => {
      event.preventDefault();
      // Jupyter's command mode would act on it too.
      event.stopPropagation();
    };
    const vertical = event.key === "ArrowDown" || event.key === "ArrowUp";
    if (by !== undefined && !(inBody && vertical)) {
      const next = this.run.neighbour(this.primary, by);
      if (next !== null) this.choose(next, false);
      handled();
    } else if (event.key === "Home" || event.key === "End") {
      if (inBody) return;
      const next = event.key === "Home" ? this.run.order[0] : this.run.order.at(-1);
      if (next !== undefined) this.choose(next, false);
      handled();
    } else if (event.key === "Escape") {
      if (inBody) this.graph.element.focus({ preventScroll: true });
      else this.set([]);
      handled();
    } else if (event.key === "Enter" && (target === this.graph.element || target === this.timeline.element)) {
      this.panel.focus();
      handled();
    } else if ("+-=0".includes(event.key) && !inBody) {
      const view = this.timeline.element.contains(target) ? this.timeline : this.graph;
      if (event.key === "0") view.fit();
      else view.zoom(event.key === "-" ? 1 / 1.25 : 1.25);
      handled();
    }
  }
}
