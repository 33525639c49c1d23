// Long runs come as columns of bytes (ftnb/widget/columns.py); here they become rows and typed arrays. Pure.

import { inflate } from "./inflate";
import type { Column, EngagementPayload, Lane, Mark, MarkColumns, StepColumns, StepRow } from "./protocol.gen";

const TYPES = { f8: Float64Array, f4: Float32Array, i4: Int32Array, u4: Uint32Array, u2: Uint16Array, u1: Uint8Array } as const;
type Typed = InstanceType<(typeof TYPES)[keyof typeof TYPES]>;

/** The numbers of a column, from a buffer of the kernel's message or from base64. */
export function numbers(column: Column): Typed {
  const type = TYPES[column.dtype];
  const bytes = toBytes(column.data);
  // A view must begin at a multiple of the size of its numbers, which a message does not see to.
  const aligned = bytes.byteOffset % type.BYTES_PER_ELEMENT ? bytes.slice() : bytes;
  return new type(aligned.buffer as ArrayBuffer, aligned.byteOffset, Math.floor(aligned.byteLength / type.BYTES_PER_ELEMENT));
}

function toBytes(data: unknown): Uint8Array {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  const text = atob(String(data));
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Give `payload` back what a message holds deflated, in place; does nothing where it is there. */
export function open(payload: EngagementPayload): EngagementPayload {
  const message = payload as { rest?: unknown; n_rest?: number };
  if (message.rest === undefined) return payload;
  const text = new TextDecoder().decode(inflate(toBytes(message.rest), message.n_rest ?? 0));
  delete message.rest;
  delete message.n_rest;
  return Object.assign(payload, JSON.parse(text));
}

/** Give `payload` its rows back, in place; does nothing where they are there. */
export function unpack(payload: EngagementPayload): EngagementPayload {
  const { columns } = payload;
  if (!columns) return payload;
  payload.columns = null;
  payload.steps = stepRows(columns);
  payload.timeline.lanes = laneRows(columns, payload.marks ? Marks.of(payload) : null);
  const [source, target, kind] = [columns.cause_source, columns.cause_target, columns.cause_kind].map(numbers);
  payload.causes = Array.from(source ?? [], (from, i) => ({ source: from, target: target?.[i] ?? 0, kind: columns.kinds[kind?.[i] ?? 0] ?? "" }));
  return payload;
}

function stepRows(columns: StepColumns): StepRow[] {
  const of = (column: Column) => numbers(column);
  const [name, ns, status, node, visit, visits] = [columns.name, columns.ns, columns.status, columns.node, columns.visit, columns.n_visits].map(of);
  const [attempt, turn, parent, offset, duration] = [columns.attempt, columns.turn, columns.parent, columns.offset, columns.duration].map(of);
  const [tokens, cost, events, flags] = [columns.tokens, columns.cost, columns.n_events, columns.flags].map(of);
  const errors = new Map(columns.errors.map(([step, message]) => [Number(step), String(message)]));
  return columns.ids.map((id, i): StepRow => ({
    id,
    name: columns.names[name?.[i] ?? 0] ?? "",
    node: node?.[i] ?? 0,
    visit: visit?.[i] ?? 1,
    n_visits: visits?.[i] ?? 1,
    attempt: attempt?.[i] ?? 1,
    turn: turn?.[i] ?? 1,
    ns: columns.namespaces[ns?.[i] ?? 0] ?? "",
    status: (columns.statuses[status?.[i] ?? 0] ?? "completed") as StepRow["status"],
    is_global: ((flags?.[i] ?? 0) & 1) > 0,
    parent: (parent?.[i] ?? -1) < 0 ? null : (parent?.[i] ?? null),
    offset_ms: offset?.[i] ?? 0,
    duration_ms: duration?.[i] ?? 0,
    total_tokens: tokens?.[i] ?? 0,
    cost: Number.isNaN(cost?.[i] ?? NaN) ? null : (cost?.[i] ?? null),
    n_events: events?.[i] ?? 0,
    failing: ((flags?.[i] ?? 0) & 2) > 0,
    error: errors.get(i) ?? null,
  }));
}

function laneRows(columns: StepColumns, marks: Marks | null): Lane[] {
  const [step, offset, duration, flags] = [columns.lanes, columns.lane_offset, columns.lane_duration, columns.flags].map(numbers);
  return Array.from(step ?? [], (index, i) => ({
    step: index,
    offset_ms: offset?.[i] ?? 0,
    duration_ms: duration?.[i] ?? 0,
    open: ((flags?.[index] ?? 0) & 4) > 0,
    // Made when asked for: there may be a million.
    get marks() {
      return marks?.ofLane(i) ?? [];
    },
  }));
}

/** All marks of a run, lane by lane: those of lane i are start[i] … start[i + 1]. */
export class Marks {
  constructor(
    readonly kinds: readonly string[],
    readonly names: readonly string[],
    readonly start: Typed,
    readonly offset: Typed,
    readonly duration: Typed,
    readonly ttft: Typed,
    readonly kind: Typed,
    readonly name: Typed,
    readonly flags: Typed,
  ) {}

  static of(payload: EngagementPayload): Marks {
    return payload.marks ? Marks.fromColumns(payload.marks) : Marks.fromLanes(payload.timeline.lanes);
  }

  private static fromColumns(c: MarkColumns): Marks {
    return new Marks(
      c.kinds, c.names, numbers(c.start), numbers(c.offset), numbers(c.duration), numbers(c.ttft), numbers(c.kind), numbers(c.name), numbers(c.flags),
    );
  }

  private static fromLanes(lanes: readonly Lane[]): Marks {
    const n = lanes.reduce((sum, lane) => sum + lane.marks.length, 0);
    const [kinds, names] = [new Map<string, number>(), new Map<string, number>()];
    const number = (of: Map<string, number>, text: string) => {
      const known = of.get(text) ?? of.size;
      of.set(text, known);
      return known;
    };
    const start = new Uint32Array(lanes.length + 1);
    const [offset, duration, ttft] = [new Float64Array(n), new Float64Array(n), new Float64Array(n)];
    const [kind, name, flags] = [new Uint16Array(n), new Uint32Array(n), new Uint8Array(n)];
    let at = 0;
    lanes.forEach((lane, index) => {
      for (const mark of lane.marks) {
        offset[at] = mark.offset_ms;
        duration[at] = mark.duration_ms;
        ttft[at] = mark.ttft_ms ?? NaN;
        kind[at] = number(kinds, mark.kind);
        name[at] = number(names, mark.name);
        flags[at] = (mark.failed ? 1 : 0) + (mark.discarded ? 2 : 0);
        at++;
      }
      start[index + 1] = at;
    });
    return new Marks([...kinds.keys()], [...names.keys()], start, offset, duration, ttft, kind, name, flags);
  }

  get length(): number {
    return this.offset.length;
  }

  ofLane(lane: number): Mark[] {
    const [from, to] = [this.start[lane] ?? 0, this.start[lane + 1] ?? 0];
    return Array.from({ length: to - from }, (_, i) => this.at(from + i, from));
  }

  /** The mark at `index` of all, in the lane that begins at `first`. */
  at(index: number, first: number): Mark {
    const ttft = this.ttft[index] ?? NaN;
    return {
      kind: this.kinds[this.kind[index] ?? 0] ?? "log",
      name: this.names[this.name[index] ?? 0] ?? "",
      offset_ms: this.offset[index] ?? 0,
      duration_ms: this.duration[index] ?? 0,
      ttft_ms: Number.isNaN(ttft) ? null : ttft,
      event: index - first,
      failed: ((this.flags[index] ?? 0) & 1) > 0,
      discarded: ((this.flags[index] ?? 0) & 2) > 0,
    };
  }
}

/** Lowest index in `from`…`to` whose value is at least `value`; the values ascend. */
export function lowerBound(values: ArrayLike<number>, value: number, from = 0, to = values.length): number {
  let [low, high] = [from, to];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
