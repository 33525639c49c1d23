import { describe, expect, it } from "vitest";
import { Heap } from "../src/heap";
import type { EngagementPayload } from "../src/protocol.gen";
import { Run } from "../src/run";
import { cellsOf } from "../src/timeline/bars";
import { binsOf } from "../src/timeline/marks";
import { densityOf } from "../src/timeline/minimap";
import { GROUPINGS, type Grouping, Rows } from "../src/timeline/rows";
import { TimeScale, Window } from "../src/timeline/scale";
import { stretchesOf } from "../src/timeline/stretches";
import { golden } from "./golden";

const track = (name: string, side = 0) => ({ run: new Run(golden(name)), side, name: "" });
const names = ["house", "failed", "paused", "running", "nested", "hostile", "empty", "long"];
const rowsOf = (name: string, grouping: Grouping) => new Rows([track(name)], grouping);

/** A run of many steps that overlap, and whose marks do. */
function crowd(n: number): EngagementPayload {
  const payload = golden("paused");
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const template = payload.steps[0];
  payload.steps = [];
  payload.causes = [];
  payload.timeline.switches = [];
  payload.timeline.lanes = [];
  for (let i = 0; i < n; i++) {
    const [offset, duration] = [i * 3, 2 + random() * 40];
    if (template) payload.steps.push({ ...template, id: `s${i}`, node: i % 4, name: `n${i % 4}`, offset_ms: offset, duration_ms: duration, failing: i % 97 === 5 });
    payload.timeline.lanes.push({
      step: i, offset_ms: offset, duration_ms: duration, open: false,
      marks: [2, 1, 0].map((k) => ({ kind: k ? "llm_call" : "tool_call", name: "x", offset_ms: offset + k, duration_ms: 1, ttft_ms: null, event: k, failed: i % 50 === 7 && k === 1, discarded: false })),
    });
  }
  payload.timeline.total_ms = n * 3 + 50;
  return payload;
}

describe.each(GROUPINGS)("rows by %s", (grouping) => {
  it.each(names)("hold every step of %s once, by time and without overlap", (name) => {
    const rows = rowsOf(name, grouping);
    const run = rows.tracks[0]?.run as Run;
    expect([...rows.step].sort((a, b) => a - b)).toEqual(run.payload.steps.map((_, i) => i));
    rows.rows.forEach((_, row) => {
      for (let i = (rows.start[row] ?? 0) + 1; i < (rows.start[row + 1] ?? 0); i++) {
        expect(rows.from[i]).toBeGreaterThanOrEqual((rows.to[i - 1] ?? 0) - 0.011);
      }
    });
    run.payload.steps.forEach((_, step) => {
      const row = rows.rowOfStep[0]?.[step] ?? -1;
      expect([...rows.step.slice(rows.start[row], rows.start[row + 1])]).toContain(step);
    });
  });

  it("counts every mark, in order", () => {
    const rows = new Rows([{ run: new Run(crowd(300)), side: 0, name: "" }], grouping);
    expect(new Set(rows.mark).size).toBe(900);
    rows.rows.forEach((_, row) => {
      const own = [...rows.markAt.slice(rows.markStart[row], rows.markStart[row + 1])];
      expect(own).toEqual([...own].sort((a, b) => a - b));
    });
    const sums = rows.classes.map((one) => one.at(-1));
    expect(sums).toEqual([6, 594, 300, 0]);
  });
});

it("what ran at the same time is on rows of its own", () => {
  const byTurn = rowsOf("house", "turn");
  expect(byTurn.length).toBe(2);
  expect(byTurn.rows.map((row) => row.leads)).toEqual([true, false]);
  expect(rowsOf("nested", "subgraph").rows.map((row) => row.label)).toEqual(["top level", "research"]);
  expect(rowsOf("house", "node").rows.map((row) => row.label)).toEqual(["greet", "qualify", "search_city", "search_coast", "rank", "refine", "present", "submitted"]);
});

it("steps of two runs that belong together stand below each other", () => {
  const comparison = golden("comparison") as unknown as { runs: [EngagementPayload, EngagementPayload]; alignment: Array<{ a: number | null; b: number | null }> };
  const tracks = comparison.runs.map((payload, side) => ({ run: new Run(payload), side, name: "AB"[side] ?? "" }));
  const rows = new Rows(tracks, "step", comparison.alignment.map(({ a, b }) => [a, b]));
  expect(rows.length).toBe(15 + 10);
  expect(rows.rows.slice(0, 4).map((row) => [row.track, row.label, row.leads])).toEqual([[0, "greet", true], [1, "greet", false], [0, "qualify", true], [1, "qualify", false]]);
  const grouped = new Rows(tracks, "node");
  expect(grouped.rows.slice(0, 2).map((row) => [row.track, row.leads, row.opens])).toEqual([[0, true, true], [1, false, true]]);
});

describe("a crowd drawn by the pixel", () => {
  const rows = new Rows([{ run: new Run(crowd(2_000)), side: 0, name: "" }], "node");
  const window = new Window(new TimeScale(0, 6_050, []), 400);
  window.zoom(2, 100);
  const columns = window.columns();

  it("shows a bar where there is one, and a failure wherever one is", () => {
    for (let row = 0; row < Math.min(rows.length, 6); row++) {
      const [a, b] = rows.barsIn(row, columns[0] ?? 0, columns.at(-1) ?? 0);
      const cells = cellsOf(rows, columns, a, b);
      for (let x = 0; x + 1 < columns.length; x++) {
        const [from, to] = [columns[x] ?? 0, columns[x + 1] ?? 0];
        const inside = [];
        for (let i = rows.start[row] ?? 0; i < (rows.start[row + 1] ?? 0); i++) if ((rows.to[i] ?? 0) >= from && (rows.from[i] ?? 0) < to) inside.push(i);
        const cell = cells.find((one) => one.from <= x && one.to > x);
        expect(Boolean(cell)).toBe(inside.length > 0);
        if (cell) expect(cell.failing).toBe(inside.some((i) => (rows.failing[i + 1] ?? 0) > (rows.failing[i] ?? 0)));
      }
    }
  });

  it("counts every mark in sight", () => {
    const kinds = new Set<number>();
    rows.rows.forEach((_, row) => {
      const [a, b] = rows.marksIn(row, columns[0] ?? 0, columns.at(-1) ?? 0);
      const bins = binsOf(rows, columns, a, b);
      expect(bins.reduce((sum, bin) => sum + bin.n, 0)).toBe(b - a);
      for (const bin of bins) kinds.add(bin.kind);
    });
    // A failure shows in whatever crowd.
    expect(kinds.has(0)).toBe(true);
  });

  it("is summed up for the strip with the whole run", () => {
    const { running, failing } = densityOf(rows, new TimeScale(0, 6_050, []), 300);
    expect(failing.reduce((a, b) => a + b, 0)).toBe(21);
    expect(Math.max(...running)).toBeGreaterThan(5);
    expect(running.at(-1)).toBe(0);
  });
});

describe("stretches in which nothing ran", () => {
  it("tell a human's pause from idle time", () => {
    const [one] = stretchesOf([track("paused")]);
    expect(one).toEqual({ from: 425, to: 7_200_000, human: true, short: true });
    expect(stretchesOf([track("house")])).toEqual([]);
  });

  it("of two runs are those of both", () => {
    expect(stretchesOf([track("paused"), track("paused", 1)])).toEqual(stretchesOf([track("paused")]));
    expect(stretchesOf([track("paused"), track("house", 1)])).toEqual([]);
  });
});

it("a heap gives back in order, also after a change", () => {
  const heap = new Heap<{ n: number }>((a, b) => a.n - b.n);
  const items = [5, 3, 9, 1, 7, 3, 8].map((n) => ({ n }));
  items.forEach((item) => heap.push(item));
  const nine = items[2] as { n: number };
  nine.n = 0;
  heap.updateItem(nine);
  expect(heap.peek()).toBe(nine);
  const out = [];
  while (heap.size()) out.push(heap.pop()?.n);
  expect(out).toEqual([0, 1, 3, 3, 5, 7, 8]);
  expect(heap.pop()).toBeUndefined();
});
