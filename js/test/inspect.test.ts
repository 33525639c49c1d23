// @vitest-environment jsdom
import { describe, expect, it, vi } from "vitest";
import { type Host, staticHost } from "../src/host";
import { copyText } from "../src/panel/copy";
import { judgeElement, parseValue } from "../src/panel/judge";
import { asMedia } from "../src/panel/media";
import { Query } from "../src/panel/query";
import { asTable } from "../src/panel/table";
import { valueElement } from "../src/panel/values";
import { golden } from "./golden";

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

describe("images", () => {
  it("are known by their bytes, however they were given", () => {
    const png = { type: "image/png", base64: PNG };
    expect(asMedia({ $ftnb: "bytes", base64: PNG })).toMatchObject(png);
    expect(asMedia(`data:image/png;base64,${PNG}`)).toMatchObject(png);
    expect(asMedia({ $ftnb: "media", media: "image/png", n_bytes: 7 })).toEqual({ type: "image/png", base64: null, n_bytes: 7 });
    expect(asMedia({ $ftnb: "bytes", base64: { $ftnb: "cut", why: "size", type: "chars", n: 9_000, head: PNG } })).toMatchObject({ type: "image/png", base64: null });
  });

  it("are never what could run, whatever it says it is", () => {
    expect(asMedia("data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIj4=")?.base64).toBeNull();
    expect(asMedia("data:text/html;base64,PHNjcmlwdD4=")?.base64).toBeNull();
    expect(asMedia("just text")).toBeNull();
  });
});

describe("tables", () => {
  it("are lists of flat records with the same keys, and heads of dataframes", () => {
    expect(asTable([{ a: 1, b: "x" }, { a: 2, b: null }])?.columns).toEqual(["a", "b"]);
    expect(asTable([{ a: 1 }, { b: 2 }])).toBeNull();
    expect(asTable([{ a: [1] }, { a: [2] }])).toBeNull();
    const frame = { $ftnb: "object", type: "polars.DataFrame", data: { shape: [900, 1], dtypes: { a: "Int64" }, head: [{ a: 1 }] } };
    expect(asTable(frame)).toMatchObject({ total: 900, title: "DataFrame, 900 × 1" });
  });

  it("are drawn with as many rows as there are, page by page", () => {
    const element = valueElement({ rows: Array.from({ length: 120 }, (_, i) => ({ i, name: `n${i}` })) });
    const fold = element.querySelector("details");
    fold?.setAttribute("open", "");
    fold?.dispatchEvent(new Event("toggle"));
    expect(element.querySelectorAll("tbody tr").length).toBe(50);
    expect(element.textContent).toContain("70 left");
  });
});

describe("looking for a text", () => {
  it("opens what holds it and marks it, whatever the case", () => {
    const element = valueElement({ a: { b: { c: ["x", "the Needle is here"] } }, d: { e: { f: 1 } } }, { query: new Query("needle") });
    expect(element.querySelector("mark")?.textContent).toBe("Needle");
    expect(element.querySelectorAll("details[open]").length).toBe(4);
  });

  it("finds what is far down a long list", () => {
    const element = valueElement(Array.from({ length: 600 }, (_, i) => `item ${i}`), { query: new Query("item 555") });
    expect(element.querySelector("mark")?.textContent).toBe("item 555");
  });
});

describe("what was taken away", () => {
  it.each([
    [{ $ftnb: "withheld", id: "x" }, "withheld: erased"],
    [{ $ftnb: "redacted", why: "api_key" }, "masked when recorded (api_key)"],
    [{ $ftnb: "damaged", why: "bad" }, "damaged in the store"],
  ])("%o is said to be", (marker, text) => expect(valueElement({ key: marker }).textContent).toContain(text));
});

it("a long text is shown in part, with all of it a click away", () => {
  const element = valueElement({ text: "ab".repeat(10_000) });
  expect(element.textContent).toContain("Show 17,000 more characters");
  element.querySelector("button")?.click();
  expect(element.textContent).toContain("ab".repeat(10_000));
});

describe("judging", () => {
  const rows = golden("house").annotations;
  const judge = (annotate: Host["annotate"]) => judgeElement({ ...staticHost(golden("house")), annotate }, rows, "s1", () => {});

  it("puts right, wrong, a label or a note on record", async () => {
    const annotate = vi.fn().mockResolvedValue(undefined);
    const box = judge(annotate);
    const click = (text: string) => [...box.querySelectorAll("button")].find((one) => one.textContent === text)?.click();
    click("Right");
    click("Wrong");
    click("Label");
    const [label, value] = box.querySelectorAll("input");
    if (label && value) [label.value, value.value] = ["tone", "4"];
    box.querySelector("form")?.dispatchEvent(new Event("submit"));
    expect(annotate.mock.calls.map(([given]) => given)).toEqual([
      { step: "s1", label: "correct", value: true, note: null },
      { step: "s1", label: "correct", value: false, note: null },
      { step: "s1", label: "tone", value: 4, note: null },
    ]);
  });

  it("says why it was not saved, and offers nothing where nobody answers", async () => {
    const box = judge(() => Promise.reject(new Error("the store can only be read")));
    box.querySelector("button")?.click();
    await new Promise((resolve) => setTimeout(resolve));
    expect(box.textContent).toContain("Not saved: the store can only be read");
    expect(judge(null).querySelector("button")).toBeNull();
  });

  it.each([["4", 4], ["", true], ["false", false], ["0.5", 0.5], ["rude", "rude"], ["1e999", "1e999"]])("%j is %j", (text, value) => expect(parseValue(text)).toBe(value));
});

it("copying says whether it worked", async () => {
  expect(await copyText("x")).toBe(false);
});
