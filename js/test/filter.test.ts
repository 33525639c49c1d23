import { describe, expect, it } from "vitest";
import { describeFilter, isEmpty, NO_FILTER, pick } from "../src/filter";
import type { Filter } from "../src/protocol.gen";
import { Run } from "../src/run";
import { golden } from "./golden";

const failed = new Run(golden("failed"));
const names = (asked: Partial<Filter>, found: string[] | null = null) =>
  pick(failed, { ...NO_FILTER, ...asked }, found)?.map((step) => failed.title(step));

describe("a filter", () => {
  it("that asks nothing picks nothing out", () => {
    expect(isEmpty({ ...NO_FILTER, text: "" })).toBe(true);
    expect(pick(failed, NO_FILTER, null)).toBeNull();
    expect(pick(failed, null, null)).toBeNull();
  });

  it("asks about steps", () => {
    expect(names({ name: "rank" })).toEqual(["rank #1", "rank #2"]);
    expect(names({ status: "failed" })).toEqual(["present"]);
    expect(names({ turn: 2 })).toEqual([]);
  });

  it("asks about events, and then the status is the event's", () => {
    expect(names({ kind: "tool_call", status: "failed" })).toEqual(["present"]);
    expect(names({ kind: "llm_call", status: "failed" })).toEqual([]);
    expect(names({ tool: "price" })).toEqual(["present"]);
    expect(names({ kind: "extraction" })).toEqual(["qualify"]);
  });

  it("looks for text in what is here, and takes what the kernel found in the rest", () => {
    expect(names({ text: "GARDEN" })).toContain("greet");
    expect(names({ text: "no price" })).toEqual(["present"]);
    expect(names({ text: "nowhere at all" }, ["s4"])).toEqual([failed.title(4)]);
  });

  it("is put in words", () => {
    expect(describeFilter({ ...NO_FILTER, kind: "tool_call", text: "x" })).toBe("“x”, kind tool_call");
  });
});
