// A run as of a moment, and how time moves while it is played. Pure.

import type { Run } from "./run";
import type { TimeScale } from "./timeline/scale";

export interface NodeState {
  /** Of the last step that had begun; null: none had. */
  status: string | null;
  /** Begun steps, attempts included, and visits. */
  steps: number;
  visits: number;
  failing: number;
  running: number;
  duration_ms: number;
  total_tokens: number;
  cost: number | null;
}

export interface Moment {
  nodes: NodeState[];
  /** How often each edge had been taken. */
  taken: Uint32Array;
  begun: number;
  running: number;
  failing: number;
}

/** What was known at `ms`. A step that had begun and not ended was running, whatever became of it. */
export function momentAt(run: Run, ms: number): Moment {
  const { nodes, steps, edges } = run.payload;
  const moment: Moment = {
    nodes: nodes.map(() => ({ status: null, steps: 0, visits: 0, failing: 0, running: 0, duration_ms: 0, total_tokens: 0, cost: null })),
    taken: new Uint32Array(edges.length),
    begun: 0, running: 0, failing: 0,
  };
  const latest = nodes.map(() => -Infinity);
  steps.forEach((step, index) => {
    if (step.offset_ms > ms) return;
    const isOver = !run.lane(index)?.open && step.offset_ms + step.duration_ms <= ms;
    const node = moment.nodes[step.node];
    if (!node) return;
    moment.begun++;
    node.steps++;
    if (step.attempt <= 1 || node.visits === 0) node.visits++;
    node.duration_ms += isOver ? step.duration_ms : ms - step.offset_ms;
    if (isOver) {
      node.total_tokens += step.total_tokens;
      if (step.cost !== null) node.cost = (node.cost ?? 0) + step.cost;
    }
    if (!isOver) {
      node.running++;
      moment.running++;
    } else if (step.failing) {
      node.failing++;
      moment.failing++;
    }
    if (step.offset_ms >= (latest[step.node] ?? 0)) {
      latest[step.node] = step.offset_ms;
      node.status = isOver ? step.status : "running";
    } else if (!isOver) node.status = "running";
  });
  run.ways.forEach((ways, step) => {
    const row = run.payload.steps[step];
    if (!row || row.offset_ms > ms) return;
    for (const edge of ways.into) moment.taken[edge] = (moment.taken[edge] ?? 0) + 1;
    if (row.offset_ms + row.duration_ms > ms) return;
    for (const edge of ways.out) moment.taken[edge] = (moment.taken[edge] ?? 0) + 1;
  });
  return moment;
}

/** `ms` after playing on for `by` units of the scale; null: past the end. */
export function advance(scale: TimeScale, ms: number, by: number): number | null {
  const unit = scale.unit(ms) + by;
  return unit >= scale.length ? null : scale.ms(unit);
}

/** The next time after `ms` at which a step begins or ends; null: none does. */
export function nextEvent(run: Run, ms: number): number | null {
  let next = Infinity;
  for (const step of run.payload.steps) {
    for (const at of [step.offset_ms, step.offset_ms + step.duration_ms]) if (at > ms + 1e-6 && at < next) next = at;
  }
  return Number.isFinite(next) ? next : null;
}

export interface Speed {
  label: string;
  /** Times as fast as it was; null: so that the whole takes some seconds. */
  times: number | null;
}

export const SPEEDS: readonly Speed[] = [
  { label: "in 12 s", times: null },
  { label: "¼×", times: 0.25 },
  { label: "1×", times: 1 },
  { label: "4×", times: 4 },
  { label: "16×", times: 16 },
  { label: "100×", times: 100 },
];
const WHOLE_S = 12;

/** Units of the scale that pass in `elapsed` ms of the clock. */
export function unitsFor(speed: Speed, scale: TimeScale, elapsed: number): number {
  return speed.times === null ? (scale.length / (WHOLE_S * 1000)) * elapsed : speed.times * elapsed;
}
