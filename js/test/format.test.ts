import { describe, expect, it } from "vitest";
import { bytes, duration, plural, tick, tickStep } from "../src/format";

describe("duration", () => {
  it.each([
    [0, "0 ms"], [0.42, "0.4 ms"], [9.96, "10 ms"], [320, "320 ms"], [999.7, "1 s"], [1_240, "1.24 s"],
    [12_340, "12.3 s"], [59_960, "1 min"], [125_000, "2 min 5 s"], [3_780_000, "1 h 3 min"], [7_200_425, "2 h"],
    [90_000_000, "1 d 1 h"], [-320, "−320 ms"],
  ])("%d ms is %s", (ms, text) => expect(duration(ms)).toBe(text));
});

describe("ticks", () => {
  it("are round numbers", () => {
    expect(tickStep(37)).toBe(50);
    expect(tickStep(0.15)).toBe(0.2);
    expect(tickStep(70_000)).toBe(120_000);
  });
  it("tell neighbours apart", () => {
    for (const step of [0.2, 1, 20, 200, 2_000, 60_000]) {
      const labels = Array.from({ length: 8 }, (_, i) => tick((i + 1) * step, step));
      expect(new Set(labels).size).toBe(8);
    }
  });
});

it("counts things", () => {
  expect(plural(1, "step")).toBe("1 step");
  expect(plural(1_234, "step")).toBe("1,234 steps");
  expect(bytes(4_096)).toBe("4.1 kB");
});
