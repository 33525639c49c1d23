import { describe, expect, it } from "vitest";
import { COLUMNS, isAsked, metadataLine, share, sorted, toggled } from "../src/browse/query";
import type { BrowseQuery } from "../src/protocol.gen";

const query: BrowseQuery = { text: "", within: "about", picked: [], sort: "started_at", descending: true, page: 4 };
const column = (field: string) => COLUMNS.find((one) => one.field === field) ?? COLUMNS[0]!;

describe("what is asked of many engagements", () => {
  it("sorts numbers from the most and texts from the first, and turns round what is sorted", () => {
    expect(sorted(query, column("total_tokens"))).toMatchObject({ sort: "total_tokens", descending: true, page: 0 });
    expect(sorted(query, column("name"))).toMatchObject({ sort: "name", descending: false, page: 0 });
    expect(sorted(query, column("started_at"))).toMatchObject({ sort: "started_at", descending: false });
  });

  it("adds up values of a field, and forgets a field without any", () => {
    const one = toggled(query, "status", "failed");
    const two = toggled(one, "status", "paused");
    expect(two.picked).toEqual([{ field: "status", values: ["failed", "paused"] }]);
    expect(toggled(toggled(two, "status", "failed"), "status", "paused").picked).toEqual([]);
    expect(query.picked).toEqual([]);
    expect([isAsked(query), isAsked(one), isAsked({ ...query, text: "x" })]).toEqual([false, true, true]);
  });

  it("takes names of every object for plain fields", () => {
    const asked = toggled(toggled(query, "__proto__", "constructor"), "meta:toString", "x");
    expect(asked.picked.map((one) => one.field)).toEqual(["__proto__", "meta:toString"]);
    expect(({} as Record<string, unknown>).values).toBeUndefined();
  });

  it("draws bars between nothing and all", () => {
    const spread = { field: "n", low: 0, high: 400, counts: [] };
    expect([null, 0, 100, 400, 900].map((n) => share(spread, n))).toEqual([0, 0, 0.5, 1, 1]);
    expect(share(undefined, 5)).toBe(0);
  });

  it("writes metadata on one line", () => {
    expect(metadataLine({ metadata: [["channel", "web"], ["user", "u-1"]] })).toBe("channel web · user u-1");
  });
});
