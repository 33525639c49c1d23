import { describe, expect, it } from "vitest";
import { Run } from "../src/run";
import { golden } from "./golden";

const house = new Run(golden("house"));
const node = (run: Run, name: string) => run.payload.nodes.findIndex((one) => one.name === name);

describe("selecting", () => {
  it("a node selects its last visit, and stays on the visit that is shown", () => {
    const search = node(house, "search_city");
    const visits = house.stepsOfNode[search] ?? [];
    expect(visits.map((index) => house.step(index).visit)).toEqual([1, 2, 3]);
    expect(house.stepForNode(search, null)).toBe(visits[2]);
    expect(house.stepForNode(search, visits[0] ?? null)).toBe(visits[0]);
    expect(house.stepForNode(node(house, "escalate"), null)).toBeNull();
  });

  it("moves along the lanes and stops at both ends", () => {
    expect(house.neighbour(null, 1)).toBe(house.order[0]);
    expect(house.neighbour(null, -1)).toBe(house.order.at(-1));
    expect(house.neighbour(house.order[0] ?? 0, -1)).toBe(house.order[0]);
    expect(house.neighbour(house.order[2] ?? 0, 1)).toBe(house.order[3]);
    expect(new Run(golden("empty")).neighbour(null, 1)).toBeNull();
  });

  it("leaves out ids that are not there", () => {
    expect(house.indexes(["s2", "nope", "__proto__", "s0"])).toEqual([2, 0]);
    expect(house.ids([2, 0])).toEqual(["s2", "s0"]);
  });
});

describe("describing", () => {
  it("numbers what was repeated and only that", () => {
    expect(house.title(0)).toBe("greet");
    expect(house.title(6)).toBe("search_city #2");
    expect(house.describe(6)).toBe("search_city #2, completed, visit 2 of 3, 520 ms");
    expect(new Run(golden("paused")).title(2)).toBe("qualify, attempt 2");
    expect(new Run(golden("running")).describe(3)).toContain("still running");
  });

  it("sums up nodes and edges", () => {
    expect(house.describeNode(node(house, "search_city"))).toBe("search_city\n3 visits, 1.56 s");
    expect(house.describeNode(node(house, "escalate"))).toContain("not executed");
    const nested = new Run(golden("nested"));
    expect(nested.describeNode(node(nested, "fact_check"))).toContain("not declared");
    const edges = house.payload.edges.map((_, index) => house.describeEdge(index));
    expect(edges).toContain("rank → refine if refine\ntaken 2 times");
    expect(edges).toContain("start → greet\ntaken once");
    expect(edges).toContain("present → refine if refine\nnot taken");
  });

  it("finds the first failure in time", () => {
    expect(house.firstFailing()).toBeNull();
    const failed = new Run(golden("failed"));
    expect(failed.step(failed.firstFailing() ?? -1).name).toBe("present");
  });
});

it("knows true causes: a join has them all", () => {
  const rank = house.payload.steps.findIndex((step) => step.name === "rank");
  expect(house.causesOf[rank]?.map((cause) => house.step(cause.source).name)).toEqual(["search_city", "search_coast"]);
});
