import { describe, expect, it } from "vitest";
import { advance, momentAt, nextEvent, SPEEDS, unitsFor } from "../src/playback";
import { Run } from "../src/run";
import { TimeScale } from "../src/timeline/scale";
import { golden } from "./golden";

const house = new Run(golden("house"));
const node = (name: string, run = house) => run.payload.nodes.findIndex((one) => one.name === name);

describe("a run as of a moment", () => {
  it("knows nothing of what is to come", () => {
    const early = momentAt(house, 300);
    expect(early.nodes[node("greet")]?.status).toBe("completed");
    expect(early.nodes[node("qualify")]?.status).toBe("running");
    expect(early.nodes[node("rank")]).toMatchObject({ status: null, visits: 0, steps: 0 });
    expect([early.begun, early.running]).toEqual([2, 1]);
  });

  it("shows what ran side by side", () => {
    const both = momentAt(house, 700);
    expect(["search_city", "search_coast"].map((name) => both.nodes[node(name)]?.status)).toEqual(["running", "running"]);
  });

  it("counts visits and ways up to then", () => {
    const second = momentAt(house, 2_000);
    expect(second.nodes[node("search_city")]?.visits).toBe(2);
    const refine = house.payload.edges.findIndex((edge) => edge.source === node("refine") && edge.target === node("search_city"));
    expect(second.taken[refine]).toBe(1);
  });

  it.each(["house", "failed", "paused", "nested", "hostile", "long"])("is at its end what %s came to", (name) => {
    const run = new Run(golden(name));
    const end = momentAt(run, run.payload.timeline.total_ms + 1);
    run.payload.nodes.forEach((one, index) => {
      expect(end.nodes[index], one.name).toMatchObject({ visits: one.n_visits, steps: one.n_steps, failing: one.n_failing, status: one.status });
      expect(end.nodes[index]?.total_tokens).toBe(one.total_tokens);
    });
    expect([...end.taken]).toEqual(run.payload.edges.map((edge) => edge.taken));
  });

  it("leaves a step that never ended running", () => {
    const run = new Run(golden("running"));
    expect(momentAt(run, 1e9).nodes[node("search_coast", run)]?.status).toBe("running");
  });
});

describe("playing", () => {
  const scale = new TimeScale(0, 7_201_000, [[400, 7_200_400]]);

  it("passes quickly over what is drawn short", () => {
    const before = 399;
    const after = advance(scale, before, 200);
    expect(after).toBeGreaterThan(7_200_000);
  });

  it("ends at the end", () => {
    expect(advance(scale, 7_200_999, 500)).toBeNull();
  });

  it("takes the whole run in some seconds, or as long as is asked", () => {
    const [whole, , real] = SPEEDS;
    expect(unitsFor(whole as never, scale, 12_000)).toBeCloseTo(scale.length);
    expect(unitsFor(real as never, scale, 500)).toBe(500);
  });

  it("goes from event to event for those who want it calm", () => {
    const times = [];
    for (let at: number | null = nextEvent(house, -1); at !== null && times.length < 5; at = nextEvent(house, at)) times.push(at);
    expect(times).toEqual([0, 240, 245, 655, 660]);
    expect(nextEvent(house, 1e9)).toBeNull();
  });
});
