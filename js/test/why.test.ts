import { describe, expect, it } from "vitest";
import type { CauseRow, WhyDetail } from "../src/protocol.gen";
import { wholeWhy } from "../src/why";

const cause = (step: string, from: string | null): CauseRow =>
  ({ step_id: step, step, cause_id: from, cause: from ?? "start", kind: "static", router: null, said: null, text: "", wrote: [], depth: 0 });
const why = (step: string, ...from: Array<string | null>): WhyDetail => ({ title: step, causes: from.map((one) => cause(step, one)), before: [], n_more: 0 });

describe("why a step ran, in a saved page", () => {
  const all: Record<string, WhyDetail | null> = { a: why("a", null), b: why("b", "a"), c: why("c", "a"), d: why("d", "b", "c"), e: why("e", "d"), lost: null };
  const of = (step: string) => all[step];

  it("is followed back to the start, nearest first, each step once", () => {
    const { causes, before } = wholeWhy(why("e", "d"), of);
    expect(causes.map((one) => one.depth)).toEqual([0]);
    expect(before.map((one) => [one.step_id, one.cause_id, one.depth])).toEqual([["d", "b", 1], ["d", "c", 1], ["b", "a", 2], ["c", "a", 2], ["a", null, 3]]);
  });

  it("ends where a cause is not known, and at a circle", () => {
    expect(wholeWhy(why("x", "lost"), of).before).toEqual([]);
    expect(wholeWhy(why("y", "y"), (step) => (step === "y" ? why("y", "y") : null)).before).toEqual([]);
  });
});
