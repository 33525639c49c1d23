import { describe, expect, it } from "vitest";
import { TimeScale, Window } from "../src/timeline/scale";

describe("a scale without idle stretches", () => {
  const window = new Window(new TimeScale(0, 1_000, []), 500);

  it("is linear and goes both ways", () => {
    expect(window.x(250)).toBe(125);
    expect(window.ms(125)).toBe(250);
  });

  it("has readable ticks", () => {
    expect(window.ticks(80).map((tick) => tick.ms)).toEqual([0, 200, 400, 600, 800, 1_000]);
  });
});

describe("a scale with an idle stretch", () => {
  const scale = new TimeScale(0, 7_201_000, [[400, 7_200_400]]);
  const window = new Window(scale, 1_000);

  it("draws it short", () => {
    const idle = window.x(7_200_400) - window.x(400);
    expect(idle).toBeGreaterThan(20);
    expect(idle).toBeLessThan(100);
  });

  it("is monotonic and inverts itself", () => {
    let last = -1;
    for (const ms of [0, 200, 400, 3_600_000, 7_200_400, 7_200_700, 7_201_000]) {
      expect(window.x(ms)).toBeGreaterThan(last);
      last = window.x(ms);
      expect(window.ms(last)).toBeCloseTo(ms, 3);
    }
  });

  it("counts anew after it and has no tick within", () => {
    const ticks = window.ticks(90);
    expect(ticks.filter((tick) => tick.later).map((tick) => tick.ms)).toContain(200);
    const [from, to] = [window.x(400), window.x(7_200_400)];
    expect(ticks.filter((tick) => tick.at > from + 1 && tick.at < to - 1)).toEqual([]);
  });
});

describe("zooming and panning", () => {
  it("keeps the time under the pointer", () => {
    const window = new Window(new TimeScale(0, 1_000, []), 500);
    window.zoom(4, 100);
    expect(window.ms(100)).toBeCloseTo(200);
    expect(window.isWhole).toBe(false);
  });

  it("never leaves the run", () => {
    const window = new Window(new TimeScale(0, 1_000, []), 500);
    window.zoom(4, 250);
    window.pan(1e9);
    expect(window.right).toBe(1_000);
    window.zoom(1e-9, 250);
    expect(window.isWhole).toBe(true);
  });
});

it("a run of no length can be drawn", () => {
  const window = new Window(new TimeScale(0, 0, []), 500);
  expect(Number.isFinite(window.x(0))).toBe(true);
  expect(window.ticks(80).length).toBeLessThan(20);
});
