// Two runs as the view of both uses them. Pure.

import { count, duration, plural } from "../format";
import { money } from "../graph/metrics";
import type { Scene, SceneEdge, SceneNode } from "../graph/scene";
import { weightOf } from "../graph/scene";
import type { ComparedNode, ComparisonPayload, Pair } from "../protocol.gen";
import { Run } from "../run";
import { statusLook } from "../status";

export class Comparison {
  readonly runs: readonly [Run, Run];
  /** Pairs by step, for either run. */
  private readonly pairOf: ReadonlyArray<Map<number, number>>;

  constructor(readonly payload: ComparisonPayload) {
    const [a, b] = payload.runs;
    if (!a || !b) throw new RangeError("a comparison needs two runs");
    this.runs = [new Run(a), new Run(b)];
    this.pairOf = [new Map(), new Map()];
    payload.alignment.forEach((pair, index) => {
      if (pair.a !== null) this.pairOf[0]?.set(pair.a, index);
      if (pair.b !== null) this.pairOf[1]?.set(pair.b, index);
    });
  }

  pair(index: number): Pair {
    const pair = this.payload.alignment[index];
    if (!pair) throw new RangeError(`no pair ${index} of ${this.payload.alignment.length}`);
    return pair;
  }

  pairOfStep(side: number, step: number): number | null {
    return this.pairOf[side]?.get(step) ?? null;
  }

  /** Pairs as the rows of the timeline want them. */
  get rows(): Array<[number | null, number | null]> {
    return this.payload.alignment.map(({ a, b }) => [a, b]);
  }

  /** The node of the graph that the pair ran. */
  nodeOf(index: number): number | null {
    const { a, b } = this.pair(index);
    const [side, step] = a === null ? (["b", b] as const) : (["a", a] as const);
    const node = step === null ? undefined : this.runs[side === "a" ? 0 : 1].payload.steps[step]?.node;
    const found = this.payload.nodes.findIndex((one) => one[side] === node);
    return found < 0 ? null : found;
  }

  /** The pairs of a node, in order. */
  pairsOfNode(node: number): number[] {
    return this.payload.alignment.flatMap((_, index) => (this.nodeOf(index) === node ? [index] : []));
  }

  /** The first pair at which the runs part; null: they do not. */
  firstDifference(): number | null {
    const found = this.payload.alignment.findIndex((pair) => pair.kind !== "same");
    return found < 0 ? null : found;
  }

  /** Whether any step of either run has a price. */
  get hasCosts(): boolean {
    return this.runs.some((run) => run.payload.steps.some((step) => step.cost !== null));
  }

  /** What the steps of a run cost, as far as it is known; undefined: not at all. */
  costOf(side: 0 | 1): number | undefined {
    const known = this.runs[side].payload.steps.flatMap((step) => (step.cost === null ? [] : [step.cost]));
    return known.length ? known.reduce((a, b) => a + b, 0) : undefined;
  }

  title(index: number): string {
    const { a, b } = this.pair(index);
    return a !== null ? this.runs[0].title(a) : b !== null ? this.runs[1].title(b) : "";
  }

  describe(index: number): string {
    const pair = this.pair(index);
    const [first = "A", second = "B"] = this.payload.names;
    const what = { same: "in both", changed: "changed", only_a: `only in ${first}`, only_b: `only in ${second}` }[pair.kind];
    return [this.title(index), what, pair.note].filter(Boolean).join(", ");
  }

  /** What differs, line by line: the name of the fact, its value in either run, and the difference. */
  facts(index: number): Array<[string, string, string, string]> {
    const { a, b } = this.pair(index);
    const [x, y] = [a === null ? null : this.runs[0].step(a), b === null ? null : this.runs[1].step(b)];
    const number = (name: string, one: number | undefined, two: number | undefined, write: (value: number) => string): [string, string, string, string] => [
      name,
      one === undefined ? "–" : write(one),
      two === undefined ? "–" : write(two),
      one === undefined || two === undefined || one === two ? "" : `${two > one ? "+" : "−"}${write(Math.abs(two - one))}`,
    ];
    const status = (one: typeof x) => (one ? statusLook(one.status).word : "–");
    return [
      ["status", status(x), status(y), x && y && x.status !== y.status ? "changed" : ""],
      number("began", x?.offset_ms, y?.offset_ms, duration),
      number("took", x?.duration_ms, y?.duration_ms, duration),
      number("tokens", x?.total_tokens, y?.total_tokens, count),
      ...(this.hasCosts ? [number("cost", x?.cost ?? undefined, y?.cost ?? undefined, money)] : []),
      number("events", x?.n_events, y?.n_events, count),
      ["error", x?.error ?? "", y?.error ?? "", (x?.error ?? "") !== (y?.error ?? "") ? "changed" : ""],
    ];
  }

  scene(): Scene {
    const { payload } = this;
    const [first = "A", second = "B"] = payload.names;
    return {
      key: `comparison ${payload.nodes.length} ${payload.edges.length} ${JSON.stringify(payload.layout.across.nodes)}`,
      title: `Graph of both runs: ${plural(payload.nodes.length, "node")}. Arrow keys move along the pairs of steps.`,
      nodes: payload.nodes.map((node) => this.sceneNode(node)),
      edges: payload.edges.map((edge): SceneEdge => {
        const side = edge.a && edge.b ? "both" : edge.a ? "first" : edge.b ? "second" : null;
        const name = (at: number) => payload.nodes[at]?.name || payload.nodes[at]?.kind || "?";
        return {
          source: edge.source,
          target: edge.target,
          label: edge.a !== edge.b && edge.a + edge.b > 1 ? `${edge.a}|${edge.b}` : "",
          weight: weightOf(Math.max(edge.a, edge.b)),
          heat: null,
          classes: side ? ["taken", side] : ["untaken"],
          text: `${name(edge.source)} → ${name(edge.target)}\ntaken ${edge.a} times in ${first}, ${edge.b} in ${second}`,
        };
      }),
      layout: payload.layout,
      legend: [
        { sign: "first", text: `A: only ${first}` },
        { sign: "second", text: `B: only ${second}` },
        { sign: "taken", text: "both" },
      ],
    };
  }

  private sceneNode(node: ComparedNode): SceneNode {
    const [x, y] = [node.a === null ? undefined : this.runs[0].payload.nodes[node.a], node.b === null ? undefined : this.runs[1].payload.nodes[node.b]];
    const [n, m] = [x?.n_visits ?? 0, y?.n_visits ?? 0];
    const side = n && m ? "both" : n ? "first" : m ? "second" : null;
    const [first = "A", second = "B"] = this.payload.names;
    return {
      label: side === "first" ? `A ${node.label}` : side === "second" ? `B ${node.label}` : node.label,
      parent: node.parent,
      status: "none",
      badge: n !== m || n > 1 ? `${n}|${m}` : "",
      note: "",
      heat: null,
      size: null,
      classes: [
        node.kind, side ? "visited" : "unvisited", side ? "side" : "", side ?? "", node.is_global ? "global" : "", node.is_goal ? "goal" : "",
        (x?.n_failing ?? 0) + (y?.n_failing ?? 0) > 0 ? "failing" : "",
      ].filter(Boolean),
      text: `${node.name}\n${plural(n, "visit")} in ${first}, ${m} in ${second}${this.failing(x?.n_failing, y?.n_failing)}`,
    };
  }

  private failing(a = 0, b = 0): string {
    return a || b ? `\nwith errors: ${a} in the first, ${b} in the second` : "";
  }
}
