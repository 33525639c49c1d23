import { describe, expect, it } from "vitest";
import { differences, jsonPatch, same } from "../src/panel/diff";

describe("what a step changed", () => {
  it("is told key by key; what an update leaves out was not touched", () => {
    const found = differences({ a: 1, b: { c: 2, d: 3 }, kept: 1, list: [1, 2] }, { a: 1, b: { c: 5, d: 3 }, list: [1, 2, 3], fresh: null }, true);
    expect(found.map(({ op, path }) => [op, path])).toEqual([["same", "/a"], ["replace", "/b/c"], ["append", "/list/-"], ["add", "/fresh"]]);
  });

  it("of whole states has removals too", () => {
    expect(differences({ a: 1, b: 2 }, { a: 1 }, false).map(({ op, path }) => [op, path])).toEqual([["same", "/a"], ["remove", "/b"]]);
  });

  it("does not pretend to know how a reducer joins lists", () => {
    expect(differences({ m: ["a", "b"] }, { m: ["c"] }, true)).toEqual([{ path: "/m", op: "merge", before: ["a", "b"], after: ["c"] }]);
  });

  it("takes markers and values that are no objects as wholes", () => {
    expect(differences({ x: { $ftnb: "int", value: "1" } }, { x: { $ftnb: "int", value: "2" } }, true)[0]?.path).toBe("/x");
    expect(differences(3, 4, true)).toEqual([{ path: "", op: "replace", before: 3, after: 4 }]);
  });

  it("has pointers that keys with slashes cannot break, and keys of built-ins are keys", () => {
    const before = JSON.parse('{"a/b": {"~": 1}, "__proto__": {"x": 1}}') as unknown;
    const after = JSON.parse('{"a/b": {"~": 2}, "__proto__": {"x": 2}, "constructor": 1}') as unknown;
    expect(differences(before, after, true).map((one) => one.path)).toEqual(["/a~1b/~0", "/__proto__/x", "/constructor"]);
  });

  it("is a JSON Patch", () => {
    expect(jsonPatch(differences({ a: 1, l: [1] }, { a: 2, l: [1, 2, 3], n: 0 }, true))).toEqual([
      { op: "replace", path: "/a", value: 2 },
      { op: "add", path: "/l/-", value: 2 },
      { op: "add", path: "/l/-", value: 3 },
      { op: "add", path: "/n", value: 0 },
    ]);
  });
});

it("equality ignores the order of keys, not of items", () => {
  expect(same({ a: 1, b: [1, 2] }, { b: [1, 2], a: 1 })).toBe(true);
  expect(same([1, 2], [2, 1])).toBe(false);
  expect(same({ a: undefined }, { b: undefined })).toBe(false);
});
