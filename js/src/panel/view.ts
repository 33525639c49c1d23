// The inspector beside the graph: the run as a list of steps, or one step in tabs.

import { button, type Child, h, icon } from "../dom";
import { count, duration, plural } from "../format";
import type { Host } from "../host";
import type { Run } from "../run";
import { ICON_HOME, ICON_NEXT, ICON_PREVIOUS, ICON_SEARCH, statusLook } from "../status";
import { type Context, facts, note, valueOf } from "./facts";
import { judgeElement } from "./judge";
import { Query } from "./query";
import { buildTab, type Tab, tabsOf } from "./tabs";

const PAGE = 200;
const PAUSE_MS = 150;

export interface PanelEvents {
  onStep(step: number): void;
  onHome(): void;
  onHover(step: number | null): void;
  onSay(text: string): void;
}

interface Shown {
  /** An event that is to be opened and brought into view. */
  event?: number | null;
  /** The steps that a filter picks; null: all. */
  picked?: readonly number[] | null;
}

export class PanelView {
  readonly element: HTMLElement;
  private readonly nav = h("div", { class: "ftnb-nav" });
  private readonly tabs = h("div", { class: "ftnb-tabs", attrs: { role: "tablist", "aria-label": "About this step" } });
  private readonly find: HTMLInputElement;
  private readonly findRow: HTMLElement;
  private readonly body = h("div", { class: "ftnb-body", attrs: { tabindex: 0, role: "region", "aria-label": "Inspector" } });
  /** Sections that the user closed or opened, by name, kept from step to step. */
  private readonly folds = new Map<string, boolean>();
  private readonly items = new Map<string, { key: string; item: HTMLElement }>();
  private run: Run | null = null;
  private step: number | null = null;
  private shown: Shown = {};
  private query = Query.none;
  /** What is drawn, to leave it alone while a run goes on and this step does not change. */
  private drawn = "";
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** The step whose details were asked for last, by payload. */
  private readonly asked = new WeakMap<object, string>();

  constructor(private readonly host: Host, private readonly events: PanelEvents) {
    this.find = h("input", { attrs: { type: "search", placeholder: "Find in this step", "aria-label": "Find in this step", spellcheck: "false" } });
    this.findRow = h("div", { class: "ftnb-find", attrs: { hidden: true } }, this.find);
    this.element = h("div", { class: "ftnb-panel" }, this.nav, this.tabs, this.findRow, this.body);
    this.find.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.lookFor(this.find.value.trim()), PAUSE_MS);
    });
    this.find.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.openFind(false);
      this.focus();
    });
    this.tabs.addEventListener("keydown", (event) => this.onTabKey(event));
  }

  focus(): void {
    this.body.focus({ preventScroll: true });
  }

  /** Show `step` of `run`, or the whole run. */
  show(run: Run, step: number | null, shown: Shown = {}): void {
    if (run.payload.engagement.id !== this.run?.payload.engagement.id) this.items.clear();
    const moved = step !== this.step;
    if (moved) this.openFind(false);
    [this.run, this.step, this.shown] = [run, step, shown];
    // A mark that was clicked is looked for where all events are.
    if (shown.event != null) this.host.setState({ tab: "events" });
    this.draw(moved || shown.event != null);
  }

  /** To the next (1) or previous (-1) tab. */
  turn(by: number): void {
    const tabs = this.context() ? tabsOf(this.context() as Context) : [];
    const at = tabs.findIndex((tab) => tab.id === this.chosen(tabs)?.id);
    const next = tabs[(at + by + tabs.length) % (tabs.length || 1)];
    if (next) this.open(next);
  }

  private open(tab: Tab): void {
    this.host.setState({ tab: tab.id });
    this.shown = { ...this.shown, event: null };
    this.draw(true);
    this.events.onSay(`${tab.title}`);
  }

  private lookFor(text: string): void {
    this.query = text ? new Query(text) : Query.none;
    this.draw(false);
    this.body.querySelector("mark")?.scrollIntoView({ block: "nearest" });
  }

  private openFind(open: boolean): void {
    this.findRow.hidden = !open;
    if (open) this.find.focus({ preventScroll: true });
    else if (this.query.isAsked || this.find.value) {
      this.find.value = "";
      this.query = Query.none;
      this.draw(false);
    }
  }

  private context(): Context | null {
    const { run, step: index, host, query, shown, events } = this;
    if (!run || index === null) return null;
    return {
      run, index, host, query, event: shown.event ?? null,
      onStep: (one) => events.onStep(one), onSay: (text) => events.onSay(text),
      section: (...given) => this.section(...given),
    };
  }

  private chosen(tabs: readonly Tab[]): Tab | undefined {
    return tabs.find((tab) => tab.id === this.host.state().tab) ?? tabs[0];
  }

  private draw(toTop: boolean): void {
    const { run, step } = this;
    if (!run) return;
    const key = this.keyOf(run, step);
    if (key === this.drawn && !toTop) return;
    this.drawn = key;
    const scroll = toTop ? 0 : this.body.scrollTop;
    const context = this.context();
    if (step !== null) this.askDetail(run, step);
    const tabs = context ? tabsOf(context) : [];
    const tab = this.chosen(tabs);
    this.showNav(run, step);
    this.showTabs(context, tabs, tab);
    const parts = context && tab ? buildTab(tab, context) : this.overview(run);
    this.body.replaceChildren(...parts.filter((one): one is Node | string => Boolean(one)));
    const event = this.body.querySelector<HTMLElement>(".ftnb-event.chosen");
    // Not scrollIntoView: that would also scroll the notebook.
    this.body.scrollTop = event && toTop ? event.offsetTop - this.body.offsetTop - 30 : scroll;
  }

  /** Details of long runs come step by step, when a step is looked at. */
  private askDetail(run: Run, step: number): void {
    const { detail } = this.host;
    const { id } = run.step(step);
    if (!detail || run.payload.details[step] || this.asked.get(run.payload) === id) return;
    this.asked.set(run.payload, id);
    detail(id).then(
      (answer) => {
        run.payload.details[step] = answer;
        if (this.step === step) this.draw(false);
      },
      (error: unknown) => this.events.onSay(`Details cannot be had: ${String(error)}`),
    );
  }

  /** Differs whenever what is to be drawn does. */
  private keyOf(run: Run, step: number | null): string {
    const { payload } = run;
    const about = [step, this.host.state().tab, this.query.text, this.shown.event, this.host.connected(), payload.annotations.length];
    if (step === null) return JSON.stringify([about, this.shown.picked, payload.engagement, payload.gaps, payload.steps.map((one) => [one.name, one.status, one.duration_ms, one.failing])]);
    const around = [run.causesOf[step], run.effectsOf[step], run.lane(step)?.open, run.stepsOfNode[run.step(step).node]?.length];
    return JSON.stringify([about, payload.engagement.id, run.step(step), payload.details[step], around]);
  }

  private showTabs(context: Context | null, tabs: readonly Tab[], chosen: Tab | undefined): void {
    this.tabs.hidden = !context;
    if (!context) return;
    const root = this.tabs.getRootNode() as Document | ShadowRoot;
    const hadFocus = this.tabs.contains(root.activeElement);
    const detail = context.run.payload.details[context.index];
    this.tabs.replaceChildren(...tabs.map((tab) => {
      const n = tab.n(context, detail);
      const on = tab === chosen;
      const own = button(tab.title, () => this.open(tab), { attrs: { role: "tab", "aria-selected": String(on), tabindex: on ? 0 : -1 } });
      if (n !== null) own.append(" ", h("small", { text: count(n) }));
      return own;
    }));
    if (hadFocus) this.tabs.querySelector<HTMLElement>("[aria-selected=true]")?.focus({ preventScroll: true });
  }

  private onTabKey(event: KeyboardEvent): void {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (by === undefined) return;
    this.turn(by);
    event.preventDefault();
    event.stopPropagation();
  }

  private showNav(run: Run, step: number | null): void {
    const lane = step === null ? -1 : (run.laneOfStep[step] ?? -1);
    const total = run.order.length;
    const move = (by: number, path: string, label: string, off: boolean) =>
      button(icon(path), () => {
        const next = run.neighbour(step, by);
        if (next !== null) this.events.onStep(next);
      }, { title: label, attrs: { "aria-label": label, disabled: off } });
    const name = step === null ? "All steps" : run.title(step);
    this.nav.replaceChildren(
      button(icon(ICON_HOME), () => this.events.onHome(), { title: "All steps (Esc)", attrs: { "aria-label": "All steps", disabled: step === null } }),
      h("span", { class: "ftnb-where", text: name, title: step === null ? "" : run.step(step).name }),
      h("small", { text: step === null ? plural(total, "step") : `${count(lane + 1)} of ${count(total)}` }),
      button(icon(ICON_SEARCH), () => this.openFind(Boolean(this.findRow.hidden)), { title: "Find in this step", attrs: { "aria-label": "Find in this step", disabled: step === null } }),
      move(-1, ICON_PREVIOUS, "Previous step (↑)", !total || lane === 0),
      move(1, ICON_NEXT, "Next step (↓)", !total || lane === total - 1),
    );
  }

  private overview(run: Run): Child[] {
    const { engagement, gaps, steps } = run.payload;
    const parts: Child[] = [];
    if (engagement.error) parts.push(h("div", { class: "ftnb-error", text: engagement.error }));
    if (engagement.status === "abandoned" && engagement.dropped_at) parts.push(note(`It reached no goal; the last step was ${engagement.dropped_at}.`));
    for (const gap of gaps) {
      const detail = gap.detail ? `: ${gap.detail}` : "";
      parts.push(h("div", { class: "ftnb-error", text: `Missing from this trace: ${plural(gap.count, "record")} (${gap.reason})${detail}` }));
    }
    if (!steps.length) parts.push(this.emptyNote(engagement.status));
    const { picked } = this.shown;
    if (picked && !picked.length) parts.push(note("No step fits the search."));
    parts.push(this.stepList(run, picked ?? run.order));
    const judged = run.payload.annotations.filter((one) => one.step === null);
    if (judged.length || this.host.annotate) parts.push(this.section("Judgements", judged.length ? count(judged.length) : null, true, judgeElement(this.host, judged, null, this.events.onSay)));
    const { value } = engagement.metadata;
    const hasMetadata = typeof value === "object" && value !== null && Object.keys(value).length > 0;
    if (hasMetadata) parts.push(this.section("Metadata", null, true, valueOf({ host: this.host, query: Query.none, id: null }, engagement.metadata, "metadata")));
    parts.push(this.section("About", null, true, this.about(run)));
    return parts;
  }

  private emptyNote(status: string): HTMLElement {
    const goesOn = status === "active";
    return h(
      "div",
      { class: "ftnb-state small" },
      h("b", { text: "No step has been recorded yet." }),
      h("p", { text: goesOn ? "The run has begun; its steps are shown here as they come." : "The run ended before any node ran, or its steps were not recorded." }),
    );
  }

  private about({ payload: { engagement } }: Run): HTMLElement {
    return facts([
      ["id", engagement.id],
      ["started", new Date(engagement.started_at).toLocaleString()],
      ["turns", count(engagement.n_turns)],
      ["LLM calls", count(engagement.n_llm_calls)],
      ["tool calls", count(engagement.n_tool_calls)],
      ["tokens, discarded", engagement.discarded_tokens ? count(engagement.discarded_tokens) : ""],
      ["forked from", engagement.parent_id ?? ""],
    ]);
  }

  private stepList(run: Run, steps: readonly number[]): HTMLElement {
    const list = h("ol", { class: "ftnb-steps", attrs: { "aria-label": "Steps" } });
    const add = (from: number) => {
      for (const index of steps.slice(from, from + PAGE)) list.append(this.stepItem(run, index));
      const left = steps.length - from - PAGE;
      if (left <= 0) return;
      const more = h("li", {}, button(`Show more (${count(left)} left)`, () => {
        more.remove();
        add(from + PAGE);
      }, { class: "ftnb-link" }));
      list.append(more);
    };
    add(0);
    return list;
  }

  /** The line of a step; the one that is there already while it says the same, as a run that goes on is listed often. */
  private stepItem(run: Run, index: number): HTMLElement {
    const { id, name, status, failing, duration_ms, visit, attempt, ns } = run.step(index);
    const key = [index, name, status, failing, duration_ms, visit, attempt, ns, run.isRepeated(index), run.lane(index)?.open].join();
    const known = this.items.get(id);
    if (known?.key === key) return known.item;
    const item = h("li", {}, this.stepButton(run, index));
    this.items.set(id, { key, item });
    return item;
  }

  private stepButton(run: Run, index: number): HTMLElement {
    const step = run.step(index);
    const look = statusLook(step.failing ? "failed" : step.status);
    const children: Child[] = [
      icon(look.path),
      h("span", { class: "name", text: step.name }),
      run.isRepeated(index) && h("span", { class: "visit", text: `#${step.visit}${step.attempt > 1 ? `.${step.attempt}` : ""}` }),
      step.is_global && h("span", { class: "ftnb-tag", text: "global" }),
      step.status !== "completed" && h("span", { class: "ftnb-tag", text: look.word }),
      h("span", { class: "facts", text: run.lane(index)?.open ? "running" : duration(step.duration_ms) }),
    ];
    const element = button(null, () => this.events.onStep(index), { title: run.describe(index) });
    element.style.setProperty("--c", `var(${look.color})`);
    element.style.paddingLeft = `${4 + Math.min(step.ns ? step.ns.split("/").length : 0, 4) * 12}px`;
    element.append(...children.filter((child): child is Node => Boolean(child)));
    element.addEventListener("mouseenter", () => this.events.onHover(index));
    element.addEventListener("mouseleave", () => this.events.onHover(null));
    return element;
  }

  private section(title: string, small: string | null, open: boolean, ...children: Child[]): HTMLElement {
    const summary = h("summary", {}, title, small ? h("small", { text: small }) : null);
    const name = title.split(" ")[0] ?? title;
    const fold = h("details", { class: "ftnb-section", attrs: { open: this.folds.get(name) ?? open } }, summary, ...children);
    summary.addEventListener("click", () => this.folds.set(name, !fold.open));
    return fold;
  }
}
