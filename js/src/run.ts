// One engagement as the views use it: the payload with lookups, and questions about it. Pure.

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
  private readonly indexOfId: Map<string, number>;

  constructor(readonly payload: EngagementPayload) {
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

  firstFailing(): number | null {
    return this.order.find((index) => this.step(index).failing) ?? null;
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
