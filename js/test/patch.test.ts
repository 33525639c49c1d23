import { describe, expect, it } from "vitest";
import { applyPatch } from "../src/patch";
import { golden } from "./golden";

describe("a patch", () => {
  it("replaces, appends and cuts, in place", () => {
    const payload = golden("running");
    const step = payload.steps[0];
    applyPatch(payload, [
      { path: ["engagement", "status"], value: "completed", n: null },
      { path: ["steps", payload.steps.length], value: step, n: null },
      { path: ["steps", 0, "status"], value: "failed", n: null },
      { path: ["gaps"], value: null, n: 0 },
    ], 7);
    expect([payload.engagement.status, payload.steps.at(-1), payload.steps[0]?.status, payload.gaps, payload.seq]).toEqual(["completed", step, "failed", [], 7]);
  });

  it("leads nowhere outside the payload", () => {
    for (const path of [["__proto__", "polluted"], ["engagement", "__proto__", "x"], ["steps", 99], ["nope"], ["steps", "constructor"]]) {
      expect(() => applyPatch(golden("house"), [{ path, value: 1, n: null }], 1)).toThrow(RangeError);
    }
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});
