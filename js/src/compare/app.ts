// The view of two runs: one graph of both, one axis of time, and what differs.

import { button, h, icon } from "../dom";
import { count, duration } from "../format";
import { money } from "../graph/metrics";
import { SceneView } from "../graph/sceneview";
import type { ComparisonPayload } from "../protocol.gen";
import type { Run } from "../run";
import { factTable, Shell } from "../shell";
import { statusLook } from "../status";
import { TimelineView } from "../timeline/view";
import { Comparison } from "./comparison";

export class ComparisonApp {
  readonly root: HTMLElement;
  readonly graph: SceneView;
  readonly timeline: TimelineView;
  readonly comparison: Comparison;
  private readonly shell: Shell;
  private pair: number | null = null;

  constructor(payload: ComparisonPayload, signal: AbortSignal) {
    this.comparison = new Comparison(payload);
    this.shell = new Shell(signal, (theme) => {
      this.graph.paint(theme);
      this.timeline.paint(theme);
    });
    this.root = this.shell.root;
    this.graph = new SceneView({
      onNode: (node) => this.choose(this.comparison.pairsOfNode(node)[0] ?? null),
      onEdge: () => {},
      onHover: () => {},
    }, signal);
    this.timeline = new TimelineView({
      onStep: (step, _add, _event, track) => this.choose(this.comparison.pairOfStep(track, step)),
      onHover: () => {},
    }, signal);
  }

  mount(el: HTMLElement): void {
    const { comparison, timeline, graph, shell } = this;
    const [first = "A", second = "B"] = comparison.payload.names;
    const bar = h("div", { class: "ftnb-bar" }, button("first difference", () => this.choose(comparison.firstDifference()), { class: "ftnb-toggle" }), timeline.tools.element);
    this.showHead();
    shell.mount(
      el, `Comparison of ${first} and ${second}`, (key) => this.onKey(key),
      h("div", { class: "ftnb-main" }, graph.element, graph.twin, shell.panel),
      h("div", { class: "ftnb-dock" }, bar, timeline.element, timeline.twin),
    );
    graph.show(comparison.scene());
    timeline.showTracks(
      comparison.runs.map((run, side) => ({ run, side, name: side ? second : first })),
      comparison.rows,
    );
    this.choose(null);
    this.root.dataset.ready = "1";
  }

  /** Show this pair of steps; null: the runs as wholes. */
  choose(pair: number | null): void {
    this.pair = pair;
    const { comparison } = this;
    if (pair === null) {
      this.timeline.select([]);
      this.graph.select(null);
      this.showTotals();
      return;
    }
    const { a, b, note } = comparison.pair(pair);
    this.timeline.select(a === null ? [] : [a], b === null ? [] : [b]);
    this.graph.select(comparison.nodeOf(pair));
    const [first = "A", second = "B"] = comparison.payload.names;
    this.shell.panel.replaceChildren(
      factTable(comparison.title(pair), ["", `A ${first}`, `B ${second}`, "B − A"], comparison.facts(pair)),
      h("p", { text: [comparison.describe(pair), note].filter(Boolean)[0] ?? "" }),
    );
    this.root.dataset.selection = String(pair);
    this.shell.say(comparison.describe(pair));
  }

  private onKey(key: string): boolean {
    const n = this.comparison.payload.alignment.length;
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[key];
    if (by !== undefined && n) this.choose(Math.min(Math.max((this.pair ?? (by > 0 ? -1 : n)) + by, 0), n - 1));
    else if (key === "f") this.choose(this.comparison.firstDifference());
    else if (key === "Escape") this.choose(null);
    else return false;
    return true;
  }

  private showHead(): void {
    const { names, alignment } = this.comparison.payload;
    const kinds = { same: "the same", changed: "changed", only_a: "only in A", only_b: "only in B" } as const;
    const facts = Object.entries(kinds).map(([kind, word]) => {
      const n = alignment.filter((pair) => pair.kind === kind).length;
      return n > 0 && h("span", {}, h("b", { text: count(n) }), ` ${word}`);
    });
    this.shell.head.replaceChildren(
      h("span", { class: "ftnb-name", text: `A ${names[0]} and B ${names[1]}` }),
      h("span", { class: "ftnb-facts" }, ...facts),
    );
  }

  private costLine(): string[][] {
    const [x, y] = [this.comparison.costOf(0), this.comparison.costOf(1)];
    if (x === undefined && y === undefined) return [];
    const write = (value: number | undefined) => (value === undefined ? "–" : money(value));
    const by = x === undefined || y === undefined ? 0 : y - x;
    return [["cost", write(x), write(y), by ? `${by > 0 ? "+" : "−"}${money(Math.abs(by))}` : ""]];
  }

  private showTotals(): void {
    const { runs, payload } = this.comparison;
    const [a, b] = runs;
    const line = (name: string, read: (run: Run) => number, write: (value: number) => string): string[] => {
      const [x, y] = [read(a), read(b)];
      return [name, write(x), write(y), x === y ? "" : `${y > x ? "+" : "−"}${write(Math.abs(y - x))}`];
    };
    const { status: s, error: e } = a.payload.engagement;
    const { status: t, error: f } = b.payload.engagement;
    this.shell.panel.replaceChildren(
      factTable("Both runs", ["", `A ${payload.names[0]}`, `B ${payload.names[1]}`, "B − A"], [
        ["status", statusLook(s).word, statusLook(t).word, s === t ? "" : "changed"],
        line("duration", (run) => run.payload.engagement.duration_ms, duration),
        line("steps", (run) => run.payload.steps.length, count),
        line("tokens", (run) => run.payload.engagement.total_tokens, count),
        ...this.costLine(),
        line("LLM calls", (run) => run.payload.engagement.n_llm_calls, count),
        line("tool calls", (run) => run.payload.engagement.n_tool_calls, count),
        line("with errors", (run) => run.payload.engagement.n_failing_steps, count),
        ["error", e ?? "", f ?? "", (e ?? "") === (f ?? "") ? "" : "changed"],
      ]),
      h("p", {}, icon(statusLook("running").path), " Choose a step to see what differs; f leads to the first difference."),
    );
    delete this.root.dataset.selection;
  }
}
