// What stands where in the timeline: steps and marks sorted into rows, with sums that let a crowded row be drawn by the
// pixel. Pure. A row's bars never overlap: what ran at the same time gets rows of its own.

import { lowerBound, Marks } from "../columns";
import { Heap } from "../heap";
import type { Run } from "../run";

export type Grouping = "step" | "node" | "subgraph" | "turn";
export const GROUPINGS: readonly Grouping[] = ["step", "node", "subgraph", "turn"];

/** One run on the axis; two of them when runs are compared. */
export interface Track {
  run: Run;
  /** 0 for the only or first run, 1 for the second. */
  side: number;
  /** "" for the only run. */
  name: string;
}

export interface Row {
  track: number;
  /** What all its steps share; shown on the first row of a group. */
  label: string;
  /** How deep in subgraphs. */
  depth: number;
  /** First row of its group, and of its group and track. */
  leads: boolean;
  opens: boolean;
  /** The only step, where a row is one step. */
  step: number | null;
}

/** A class of marks, as a crowded row tells them apart. */
export const MARK_CLASSES = ["failed", "llm_call", "tool_call", "other"] as const;

interface Bars {
  step: Uint32Array;
  from: Float64Array;
  to: Float64Array;
}

export class Rows {
  readonly rows: Row[] = [];
  /** Bars of row r are start[r] … start[r + 1], by time. */
  readonly start: Uint32Array;
  readonly step: Uint32Array;
  readonly from: Float64Array;
  readonly to: Float64Array;
  /** How many of the bars before this one fail; and how many are not over. */
  readonly failing: Uint32Array;
  /** Marks of row r are markStart[r] … markStart[r + 1], by time. */
  readonly markStart: Uint32Array;
  readonly markAt: Float64Array;
  /** Index into the track's marks. */
  readonly mark: Uint32Array;
  /** For each class of marks, how many stand before this one. */
  readonly classes: Uint32Array[];
  /** The row of each step, by track. */
  readonly rowOfStep: Int32Array[];
  private readonly marks: Marks[];

  constructor(readonly tracks: readonly Track[], readonly grouping: Grouping, pairs: ReadonlyArray<readonly (number | null)[]> = []) {
    const stacked = grouping === "step" && tracks.length > 1 ? pairedRows(tracks, pairs) : groupedRows(tracks, grouping);
    this.rows = stacked.map(([row]) => row);
    const n = stacked.reduce((sum, [, lanes]) => sum + lanes.length, 0);
    this.start = new Uint32Array(stacked.length + 1);
    const bars: Bars = { step: new Uint32Array(n), from: new Float64Array(n), to: new Float64Array(n) };
    this.failing = new Uint32Array(n + 1);
    this.rowOfStep = tracks.map(({ run }) => new Int32Array(run.payload.steps.length).fill(-1));
    this.marks = tracks.map(({ run }) => run.marks);
    let at = 0;
    stacked.forEach(([row, lanes], index) => {
      const track = tracks[row.track];
      for (const lane of lanes) {
        const one = track?.run.payload.timeline.lanes[lane];
        if (!track || !one) continue;
        bars.step[at] = one.step;
        bars.from[at] = one.offset_ms;
        bars.to[at] = endOf(track.run, lane);
        this.failing[at + 1] = (this.failing[at] ?? 0) + (track.run.payload.steps[one.step]?.failing ? 1 : 0);
        const places = this.rowOfStep[row.track];
        if (places) places[one.step] = index;
        at++;
      }
      this.start[index + 1] = at;
    });
    ({ step: this.step, from: this.from, to: this.to } = bars);
    const total = stacked.reduce((sum, [row, lanes]) => sum + lanes.reduce((m, lane) => m + this.lengthOf(row.track, lane), 0), 0);
    this.markStart = new Uint32Array(stacked.length + 1);
    this.markAt = new Float64Array(total);
    this.mark = new Uint32Array(total);
    this.classes = MARK_CLASSES.map(() => new Uint32Array(total + 1));
    this.placeMarks(stacked);
  }

  private lengthOf(track: number, lane: number): number {
    const start = this.marks[track]?.start;
    return (start?.[lane + 1] ?? 0) - (start?.[lane] ?? 0);
  }

  private placeMarks(stacked: ReadonlyArray<readonly [Row, readonly number[]]>): void {
    let at = 0;
    stacked.forEach(([row, lanes], index) => {
      const first = at;
      const marks = this.marks[row.track];
      let sorted = true;
      for (const lane of lanes) {
        for (let i = marks?.start[lane] ?? 0; i < (marks?.start[lane + 1] ?? 0); i++) {
          const offset = marks?.offset[i] ?? 0;
          if (at > first && offset < (this.markAt[at - 1] ?? 0)) sorted = false;
          this.mark[at] = i;
          this.markAt[at++] = offset;
        }
      }
      if (!sorted && marks) {
        this.mark.subarray(first, at).sort((a, b) => (marks.offset[a] ?? 0) - (marks.offset[b] ?? 0));
        for (let i = first; i < at; i++) this.markAt[i] = marks.offset[this.mark[i] ?? 0] ?? 0;
      }
      this.markStart[index + 1] = at;
      for (let i = first; i < at; i++) this.sum(i, marks);
    });
  }

  private sum(at: number, marks: Marks | undefined): void {
    const index = this.mark[at] ?? 0;
    const kind = marks?.kinds[marks.kind[index] ?? 0];
    const own = (marks?.flags[index] ?? 0) & 1 || kind === "error" ? 0 : kind === "llm_call" ? 1 : kind === "tool_call" ? 2 : 3;
    for (let c = 0; c < this.classes.length; c++) {
      const sums = this.classes[c] as Uint32Array;
      sums[at + 1] = (sums[at] ?? 0) + (c === own ? 1 : 0);
    }
  }

  get length(): number {
    return this.rows.length;
  }

  /** Bars of `row` that reach into `from`…`to` ms, as a range of indexes. */
  barsIn(row: number, from: number, to: number): [number, number] {
    const [a, b] = [this.start[row] ?? 0, this.start[row + 1] ?? 0];
    // Bars do not overlap, so that their ends ascend as their starts do.
    return [lowerBound(this.to, from, a, b), lowerBound(this.from, to, a, b)];
  }

  /** Marks of `row` in `from`…`to` ms, as a range of indexes. */
  marksIn(row: number, from: number, to: number): [number, number] {
    const [a, b] = [this.markStart[row] ?? 0, this.markStart[row + 1] ?? 0];
    return [lowerBound(this.markAt, from, a, b), lowerBound(this.markAt, to, a, b)];
  }

  /** The lane of a mark, by its index among the track's marks. */
  laneOfMark(track: number, mark: number): number {
    return lowerBound(this.marks[track]?.start ?? [], mark + 1) - 1;
  }
}

/** When the step of a lane ended; what is still open reaches to the end of the run. */
export function endOf(run: Run, lane: number): number {
  const one = run.payload.timeline.lanes[lane];
  if (!one) return 0;
  // A clock that was set back makes a duration negative.
  return one.open ? Math.max(run.payload.timeline.total_ms, one.offset_ms) : one.offset_ms + Math.max(one.duration_ms, 0);
}

type Stacked = Array<[Row, number[]]>;

function groupedRows(tracks: readonly Track[], grouping: Grouping): Stacked {
  const groups = new Map<string, { label: string; depth: number; lanes: number[][] }>();
  tracks.forEach(({ run }, track) => {
    run.payload.timeline.lanes.forEach(({ step }, lane) => {
      const { key, label, depth } = groupOf(run, step, grouping);
      const group = groups.get(key) ?? { label, depth, lanes: tracks.map(() => []) };
      groups.set(key, group);
      group.lanes[track]?.push(lane);
    });
  });
  const rows: Stacked = [];
  for (const { label, depth, lanes } of groups.values()) {
    let isFirst = true;
    lanes.forEach((own, track) => {
      const run = tracks[track]?.run;
      if (!run) return;
      stack(run, own).forEach((row, index) => {
        const step = grouping === "step" ? (run.payload.timeline.lanes[row[0] ?? 0]?.step ?? null) : null;
        rows.push([{ track, label, depth, leads: isFirst, opens: index === 0, step }, row]);
        isFirst = false;
      });
    });
  }
  return rows;
}

function groupOf(run: Run, index: number, grouping: Grouping): { key: string; label: string; depth: number } {
  const step = run.step(index);
  const depth = step.ns ? step.ns.split("/").length : 0;
  if (grouping === "step") return { key: String(index), label: step.name, depth };
  if (grouping === "turn") return { key: String(step.turn), label: `turn ${step.turn}`, depth: 0 };
  if (grouping === "subgraph") return { key: step.ns, label: step.ns || "top level", depth: Math.max(depth - 1, 0) };
  return { key: JSON.stringify([step.ns, step.name]), label: step.name, depth };
}

/** Lanes that overlap in time, each on the row that is free first. Lanes come by their start. */
function stack(run: Run, lanes: readonly number[]): number[][] {
  const rows: number[][] = [];
  const free = new Heap<{ end: number; row: number }>((a, b) => a.end - b.end || a.row - b.row);
  for (const lane of lanes) {
    const from = run.payload.timeline.lanes[lane]?.offset_ms ?? 0;
    // Clocks of two steps may differ by a few microseconds.
    const first = free.peek();
    const row = first && first.end <= from + 0.01 ? (free.pop()?.row ?? 0) : rows.length;
    if (row === rows.length) rows.push([]);
    rows[row]?.push(lane);
    free.push({ end: Math.max(endOf(run, lane), from), row });
  }
  return rows;
}

/** Steps of two runs that belong together, one below the other; a step without a partner stands alone. */
function pairedRows(tracks: readonly Track[], pairs: ReadonlyArray<readonly (number | null)[]>): Stacked {
  const rows: Stacked = [];
  for (const pair of pairs) {
    let leads = true;
    tracks.forEach(({ run }, track) => {
      const step = pair[track];
      if (step === null || step === undefined) return;
      const lane = run.laneOfStep[step] ?? -1;
      if (lane < 0) return;
      const { label, depth } = groupOf(run, step, "step");
      rows.push([{ track, label, depth, leads, opens: true, step }, [lane]]);
      leads = false;
    });
  }
  return rows;
}
