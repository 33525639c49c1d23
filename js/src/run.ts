// One engagement as the views use it: the payload with lookups, and questions about it. Pure.

import { Marks, unpack } from "./columns";
import { count, duration, plural } from "./format";
import type { Cause, EngagementPayload, Lane, Node, StepRow } from "./protocol.gen";
import { statusLook } from "./status";

export class Run {
  /** Step indexes of each node, in recorded order. */
  readonly stepsOfNode: number[][];
  /** Step indexes in the order of the lanes. */
  readonly order: number[];
  readonly laneOfStep: number[];
  readonly causesOf: Cause[][];
  readonly effectsOf: Cause[][];
  /** By step, the edges that were taken into it, and out of it to the end. */
  readonly ways: Array<{ into: number[]; out: number[] }>;
  /** Edges on the way to the first step that failed; nodes that an intent switch entered. */
  readonly failedWay: ReadonlySet<number>;
  readonly switched: ReadonlySet<number>;
  /** All marks, lane by lane. */
  readonly marks: Marks;
  private readonly edgeAt: Map<number, number>;
  private readonly indexOfId: Map<string, number>;

  constructor(readonly payload: EngagementPayload) {
    unpack(payload);
    this.marks = Marks.of(payload);
    const { nodes, steps, causes, timeline } = payload;
    this.stepsOfNode = nodes.map(() => []);
    steps.forEach((step, index) => this.stepsOfNode[step.node]?.push(index));
    this.order = timeline.lanes.map((lane) => lane.step);
    this.laneOfStep = steps.map(() => -1);
    timeline.lanes.forEach((lane, index) => {
      this.laneOfStep[lane.step] = index;
    });
    this.causesOf = steps.map(() => []);
    this.effectsOf = steps.map(() => []);
    for (const cause of causes) {
      this.causesOf[cause.target]?.push(cause);
      this.effectsOf[cause.source]?.push(cause);
    }
    this.edgeAt = new Map(payload.edges.map((edge, index) => [edge.source * nodes.length + edge.target, index]));
    this.ways = findWays(payload, this.causesOf, this.effectsOf, (source, target) => this.wayOf(source, target));
    this.failedWay = this.findFailedWay();
    this.switched = new Set(timeline.switches.map((one) => steps[one.step ?? -1]?.node ?? -1));
    this.indexOfId = new Map(steps.map((step, index) => [step.id, index]));
  }

  step(index: number): StepRow {
    const step = this.payload.steps[index];
    if (!step) throw new RangeError(`no step ${index} of ${this.payload.steps.length}`);
    return step;
  }

  lane(index: number): Lane | undefined {
    return this.payload.timeline.lanes[this.laneOfStep[index] ?? -1];
  }

  /** Indexes of the steps with these ids; unknown ids are left out. */
  indexes(ids: readonly string[]): number[] {
    return ids.map((id) => this.indexOfId.get(id)).filter((index): index is number => index !== undefined);
  }

  ids(indexes: readonly number[]): string[] {
    return indexes.map((index) => this.step(index).id);
  }

  /** The step that a click on `node` selects: the current one if it is of that node, otherwise the last. */
  stepForNode(node: number, current: number | null): number | null {
    const steps = this.stepsOfNode[node] ?? [];
    if (current !== null && steps.includes(current)) return current;
    return steps.at(-1) ?? null;
  }

  /** The step `by` lanes further; from nothing, the first or the last. */
  neighbour(current: number | null, by: number): number | null {
    if (!this.order.length) return null;
    if (current === null) return (by > 0 ? this.order[0] : this.order.at(-1)) ?? null;
    const lane = (this.laneOfStep[current] ?? 0) + by;
    return this.order[Math.min(Math.max(lane, 0), this.order.length - 1)] ?? null;
  }

  /** A step that `current` led to (1) or that led to it (-1); of several, one of `recent` first. null: there is none. */
  causal(current: number, by: 1 | -1, recent: readonly number[]): number | null {
    const around = by > 0 ? this.effectsOf[current]?.map((one) => one.target) : this.causesOf[current]?.map((one) => one.source);
    if (!around?.length) return null;
    return recent.findLast((step) => around.includes(step)) ?? around[0] ?? null;
  }

  firstFailing(): number | null {
    return this.order.find((index) => this.step(index).failing) ?? null;
  }

  /** The failing step after `current` in time; after the last one, the first again. */
  nextFailing(current: number | null): number | null {
    const lane = current === null ? -1 : (this.laneOfStep[current] ?? -1);
    return this.order.slice(lane + 1).find((index) => this.step(index).failing) ?? this.firstFailing();
  }

  /** The edge from one node to another. */
  wayOf(source: number, target: number): number | undefined {
    return this.edgeAt.get(source * this.payload.nodes.length + target);
  }

  private findFailedWay(): Set<number> {
    const { order, ways, causesOf } = this;
    const way = new Set<number>();
    const seen = new Set<number>();
    let at = order.find((index) => this.step(index).status === "failed");
    while (at !== undefined && !seen.has(at)) {
      seen.add(at);
      const from: number | undefined = causesOf[at]?.at(-1)?.source;
      // Of a join, the one that came last held it up.
      for (const edge of ways[at]?.into ?? []) if (from === undefined || this.payload.edges[edge]?.source === this.step(from).node) way.add(edge);
      at = from;
    }
    return way;
  }

  /** Whether the step is one of several of its node. */
  isRepeated(index: number): boolean {
    return (this.stepsOfNode[this.step(index).node]?.length ?? 0) > 1;
  }

  /** "search", or "search #2" where the node ran several times, or "search #2, attempt 3" */
  title(index: number): string {
    const step = this.step(index);
    const visit = step.n_visits > 1 || step.visit > 1 ? ` #${step.visit}` : "";
    return `${step.name}${visit}${step.attempt > 1 ? `, attempt ${step.attempt}` : ""}`;
  }

  /** What a node's steps add up to, in lines. */
  describeNode(index: number): string {
    const node = this.payload.nodes[index];
    if (!node) return "";
    const lines = [node.name];
    if (!node.declared) lines.push("not declared in the workflow");
    if (node.is_global) lines.push("global step: may be entered from anywhere");
    if (node.is_goal) lines.push("goal");
    if (!node.n_steps) return [...lines, "not executed"].join("\n");
    const totals = [plural(node.n_visits, "visit"), duration(node.duration_ms)];
    if (node.total_tokens) totals.push(plural(node.total_tokens, "token"));
    lines.push(totals.join(", "));
    if (node.n_failing) lines.push(`${count(node.n_failing)} with errors`);
    return lines.join("\n");
  }

  /** Where an edge leads, and how often it was taken. */
  describeEdge(index: number): string {
    const edge = this.payload.edges[index];
    if (!edge) return "";
    const [source, target] = [this.payload.nodes[edge.source], this.payload.nodes[edge.target]];
    const name = (node: Node | undefined) => node?.name || node?.kind || "?";
    const times = edge.taken === 1 ? "taken once" : edge.taken ? `taken ${count(edge.taken)} times` : "not taken";
    const condition = edge.condition === null ? "" : ` if ${edge.condition}`;
    return `${name(source)} → ${name(target)}${condition}\n${times}${edge.declared ? "" : ", not declared in the workflow"}`;
  }

  /** One line about a step, for tooltips and screen readers. */
  describe(index: number): string {
    const step = this.step(index);
    const parts = [this.title(index), statusLook(step.status).word];
    if (step.n_visits > 1) parts.push(`visit ${step.visit} of ${step.n_visits}`);
    parts.push(this.lane(index)?.open ? "still running" : duration(step.duration_ms));
    if (step.total_tokens) parts.push(plural(step.total_tokens, "token"));
    return parts.join(", ");
  }
}

function findWays(
  { nodes, steps, engagement }: EngagementPayload, causesOf: Cause[][], effectsOf: Cause[][], edge: (source: number, target: number) => number | undefined,
): Array<{ into: number[]; out: number[] }> {
  const [start, end] = [nodes.findIndex((node) => node.kind === "start"), nodes.findIndex((node) => node.kind === "end")];
  const isOver = engagement?.status === "completed" || engagement?.status === "abandoned";
  return steps.map((step, index) => {
    const causes = causesOf[index] ?? [];
    const into = causes.length
      ? causes.filter((cause) => cause.kind !== "resume").map((cause) => edge(steps[cause.source]?.node ?? -1, step.node))
      : [edge(start, step.node)];
    const isLast = isOver && step.status === "completed" && !effectsOf[index]?.length;
    const out = isLast ? [edge(step.node, end)] : [];
    const there = (one: number | undefined): one is number => one !== undefined;
    return { into: into.filter(there), out: out.filter(there) };
  });
}
