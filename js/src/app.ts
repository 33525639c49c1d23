// One view: header, search, graph, panel and timeline, joined by one selection and one filter.

import { Dock } from "./dock";
import { h } from "./dom";
import { Family } from "./family";
import { pick } from "./filter";
import graphCss from "./graph/graph.css";
import { GraphView } from "./graph/view";
import { Head } from "./head";
import type { Host } from "./host";
import { type KeyActions, listenToKeys } from "./keyboard";
import { Help } from "./keys";
import { PanelView } from "./panel/view";
import { type EngagementPayload, type Filter, PROTOCOL_VERSION } from "./protocol.gen";
import { Run } from "./run";
import { SearchBar } from "./search";
import { type Behind, Notice } from "./states";
import css from "./styles.css";
import { applyTheme, watchTheme } from "./theme";
import timelineCss from "./timeline/timeline.css";
import { TimelineView } from "./timeline/view";

/** Steps that were selected before, by which the arrows find the way back. */
const MAX_RECENT = 30;

export class App {
  readonly root = h("div", { class: "ftnb", attrs: { role: "group", "aria-label": "Engagement" } });
  readonly graph: GraphView;
  readonly timeline: TimelineView;
  readonly dock: Dock;
  readonly panel: PanelView;
  readonly head: Head;
  readonly family: Family;
  readonly search: SearchBar;
  readonly help = new Help();
  private readonly notice: Notice;
  private readonly behind: Behind;
  private readonly aloud = h("div", { class: "ftnb-aloud", attrs: { "aria-live": "polite" } });
  private readonly content: HTMLElement;
  private run = new Run(nothing());
  private selected: number[] = [];
  private recent: number[] = [];
  /** Steps that the filter picks; null: nothing is asked. */
  private picked: number[] | null = null;
  private status = "";
  private frame = 0;
  /** The moment that the state holds, as far as this view knows. */
  private settledTime: number | null = null;

  constructor(private readonly host: Host, private readonly signal: AbortSignal, behind: Behind = "kernel") {
    this.behind = behind;
    this.notice = new Notice(behind);
    this.graph = new GraphView({
      onNode: (node, add) => this.onNode(node, add),
      onHover: (node) => this.timeline.hover(node === null ? null : this.run.stepForNode(node, this.primary)),
      onBackground: () => {},
      onState: (graph) => host.setState({ graph }),
    }, signal);
    const onHover = (step: number | null) => {
      this.graph.hover(step === null ? null : this.run.step(step).node);
      this.timeline.hover(step);
    };
    this.timeline = new TimelineView({
      onStep: (step, add, event) => this.choose(step, add, event),
      onHover,
      onSeek: (ms) => this.seek(ms),
      onState: (timeline) => host.setState({ timeline }),
    }, signal);
    this.dock = new Dock(this.timeline, { onTime: (ms, settled) => this.onTime(ms, settled) }, signal);
    this.panel = new PanelView(host, { onStep: (step) => this.choose(step, false), onHome: () => this.set([]), onHover, onSay: (text) => this.say(text) });
    this.family = new Family(host, (text) => this.say(text));
    this.head = new Head({
      onFailure: () => this.goTo(this.run.firstFailing()),
      onHome: () => this.set([]),
      onSearch: () => this.search.open(),
      onHelp: () => this.help.toggle(),
    }, this.family.element);
    this.search = new SearchBar({
      onFilter: (filter) => this.setFilter(filter),
      onMove: (by) => this.nextMatch(by),
      onClose: () => this.graph.element.focus({ preventScroll: true }),
    });
    this.content = h("div", {}, h("div", { class: "ftnb-main" }, this.graph.element, this.graph.twin, this.panel.element), this.dock.element);
    this.root.append(
      // Inside the element and not in the page's head: some hosts put it into a shadow root.
      h("style", { text: css + graphCss + timelineCss }),
      this.head.element,
      this.notice.element,
      this.search.element,
      this.content,
      this.aloud,
      this.help.element,
    );
    this.listen();
  }

  /** Put the view into `el`. */
  mount(el: HTMLElement): void {
    el.append(this.root);
    this.paint();
    watchTheme(() => this.paint(), this.signal);
    this.showConnection();
    this.reload();
    this.root.dataset.ready = "1";
  }

  private listen(): void {
    const { root, signal } = this;
    listenToKeys(root, this.keyActions(), signal);
    this.host.onChange((what) => {
      if (what === "payload") this.schedule();
      else if (what === "selection") this.follow();
      else if (what === "state") this.followState();
      else this.showConnection();
    });
    signal.addEventListener("abort", () => cancelAnimationFrame(this.frame), { once: true });
  }

  /** Draw again with the next frame: a run that goes on changes more often than a screen does. */
  private schedule(): void {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.reload());
  }

  /** Show the run as of `ms` since its first step; null: all of it. */
  seek(ms: number | null): void {
    this.dock.seek(ms);
  }

  private onTime(ms: number | null, settled: boolean): void {
    this.graph.at(ms);
    if (settled) this.settledTime = ms;
    if (settled && this.host.state().time_ms !== ms) this.host.setState({ time_ms: ms });
  }

  /** How the graph, the timeline and the scrubber were set. */
  private restore(): void {
    const { graph, timeline, time_ms } = this.host.state();
    this.graph.restore(graph);
    this.timeline.restore(timeline);
    // What the user is just doing with the slider is not undone by a run that goes on.
    if (time_ms !== this.settledTime) this.seek(time_ms);
    this.settledTime = time_ms;
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
    this.frame = 0;
    const payload = this.host.payload();
    const problem = payload && payload.v !== PROTOCOL_VERSION
      ? `This view speaks protocol ${PROTOCOL_VERSION}, the trace ${payload.v}. Restart the kernel and reload the page.`
      : null;
    this.content.hidden = payload === null || problem !== null;
    if (payload === null || problem !== null) {
      this.head.showTitle(problem ? "This run cannot be shown" : "No run yet");
      if (problem) this.notice.fail("This run cannot be shown", problem);
      else this.notice.wait("Waiting for a run to begin", "It is shown here, live, as soon as its first record is there.");
      return;
    }
    try {
      this.show(payload);
      this.notice.clear();
    } catch (error) {
      // Better a reason than a blank: whoever looks at a broken trace looks for exactly this.
      this.content.hidden = true;
      this.head.showTitle(String(payload.engagement?.name ?? "Engagement"));
      this.notice.fail("This run cannot be drawn", error instanceof Error ? `${error.name}: ${error.message}` : String(error));
      console.error(error);
    }
  }

  private show(payload: EngagementPayload): void {
    this.run = new Run(payload);
    this.selected = this.run.indexes(this.host.selection());
    const { name, status } = payload.engagement;
    this.root.setAttribute("aria-label", `Engagement ${name}, ${status}`);
    this.head.show(this.run);
    this.family.show(payload.engagement.id, status);
    this.graph.show(this.run);
    this.dock.show(this.run);
    this.restore();
    this.showFilter();
    this.showSelection(null, false);
    if (this.status && this.status !== status) this.say(`${name} is ${status}`);
    this.status = status;
  }

  /** The other side changed the selection. */
  private follow(): void {
    const next = this.run.indexes(this.host.selection());
    if (next.join() === this.selected.join()) return;
    this.selected = next;
    this.showSelection(null);
  }

  /** The other side changed the view's state. */
  private followState(): void {
    this.restore();
    this.showFilter();
    this.showSelection(null, false);
  }

  private onNode(node: number, add: boolean): void {
    const step = this.run.stepForNode(node, this.primary);
    if (step !== null) this.choose(step, add);
    else this.say(`${this.run.payload.nodes[node]?.label ?? "This node"} was not executed`);
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

  private showSelection(event: number | null, aloud = true): void {
    this.graph.select(this.selected);
    this.timeline.select(this.selected);
    this.panel.show(this.run, this.primary, { event, picked: this.picked });
    this.root.dataset.selection = this.run.ids(this.selected).join(" ");
    if (this.primary === null) return;
    if (this.recent.at(-1) !== this.primary) this.recent = [...this.recent, this.primary].slice(-MAX_RECENT);
    if (aloud) this.say(this.run.describe(this.primary));
  }

  private setFilter(filter: Filter | null): void {
    this.host.setState({ filter, found: null });
    this.showFilter();
    this.showSelection(null, false);
    const text = filter?.text;
    if (!text || !this.host.search) return;
    this.host.search(text).then(
      (found) => {
        if (this.host.state().filter?.text !== text) return;
        this.host.setState({ found });
        this.followState();
      },
      () => {}, // what is here was searched; the note says that the rest was not
    );
  }

  private showFilter(): void {
    const { filter, found } = this.host.state();
    this.picked = pick(this.run, filter, found);
    const isPartial = Boolean(filter?.text) && found === null && this.run.payload.details.some((one) => JSON.stringify(one).includes('"cut":true'));
    this.search.show(filter, this.picked?.length ?? null, this.run.order.length, isPartial ? ", in what is loaded" : "");
    const marked = this.picked === null ? null : new Set(this.picked);
    this.graph.mark(marked);
    this.timeline.mark(marked);
  }

  private nextMatch(by: number): void {
    const among = this.picked ?? [];
    if (!among.length) return;
    const lane = (step: number) => this.run.laneOfStep[step] ?? -1;
    const here = this.primary === null ? (by > 0 ? -1 : this.run.order.length) : lane(this.primary);
    const next = by > 0 ? among.find((step) => lane(step) > here) : among.findLast((step) => lane(step) < here);
    this.goTo(next ?? (by > 0 ? among[0] : among.at(-1)) ?? null);
  }

  private goTo(step: number | null): void {
    if (step !== null) this.choose(step, false);
  }

  private showConnection(): void {
    const gone = !this.host.connected();
    this.root.dataset.connected = gone ? "0" : "1";
    this.notice.unplug(gone);
    if (gone) this.say(`The ${this.behind} is gone. This view shows what it had.`);
  }

  private say(text: string): void {
    this.aloud.textContent = text;
  }

  /** What keys do here (see keyboard.ts). */
  private keyActions(): KeyActions {
    const { panel, graph, timeline, search, help } = this;
    return {
      toNeighbour: (by) => this.goTo(this.run.neighbour(this.primary, by)),
      alongCauses: (by) => this.alongCauses(by),
      toEnd: (last) => this.goTo((last ? this.run.order.at(-1) : this.run.order[0]) ?? null),
      toFailure: () => this.toFailure(),
      toMatch: (by) => this.nextMatch(by),
      openSearch: () => search.open(),
      turnTab: (by) => panel.turn(by),
      toggleHelp: () => help.toggle(),
      toPanel: () => panel.focus(),
      leave: (inBody) => (inBody ? graph.element.focus({ preventScroll: true }) : this.set([])),
      isPicture: (target) => target === graph.element || target === timeline.element,
      zoom: (factor, target) => {
        const view = timeline.element.contains(target) ? timeline : graph;
        if (factor === null) view.fit();
        else view.zoom(factor);
      },
    };
  }

  private alongCauses(by: 1 | -1): void {
    const { run, primary } = this;
    if (primary === null) return this.goTo(run.neighbour(null, by));
    const next = run.causal(primary, by, this.recent);
    if (next !== null) this.goTo(next);
    else this.say(by > 0 ? "Nothing came after this step" : "Nothing came before this step");
  }

  private toFailure(): void {
    const next = this.run.nextFailing(this.primary);
    if (next === null) this.say("No step failed");
    this.goTo(next);
  }
}

/** What the lookups are made of while there is no run. */
function nothing(): EngagementPayload {
  const timeline = { total_ms: 0, lanes: [], switches: [], idle: [] };
  return { nodes: [], edges: [], steps: [], causes: [], timeline, details: [], gaps: [], annotations: [] } as unknown as EngagementPayload;
}
