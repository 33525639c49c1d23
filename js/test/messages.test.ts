import { describe, expect, it } from "vitest";
import { absence, markerOf, scalarText } from "../src/panel/markers";
import { asChat, asMessage } from "../src/panel/messages";

describe("messages in the shapes that agents use", () => {
  it.each([
    ["OpenAI", { role: "user", content: "hi" }],
    ["LangChain object", { $ftnb: "object", type: "HumanMessage", data: { type: "human", content: "hi", name: null } }],
    ["LangChain dict", { type: "human", content: "hi" }],
    ["LangChain messages_to_dict", { type: "human", data: { content: "hi" } }],
    ["LangChain serialised", { lc: 1, type: "constructor", id: ["langchain", "HumanMessage"], kwargs: { content: "hi" } }],
    ["pair", { $ftnb: "tuple", items: ["user", "hi"] }],
  ])("%s", (_, value) => expect(asMessage(value)).toEqual({ role: "user", name: null, content: "hi", toolCalls: [] }));

  it("keeps tool calls of both kinds", () => {
    const openai = { role: "assistant", content: null, tool_calls: [{ id: "1", function: { name: "find", arguments: '{"a":1}' } }] };
    expect(asMessage(openai)?.toolCalls).toEqual([{ name: "find", args: '{"a":1}' }]);
    const langchain = { $ftnb: "object", type: "AIMessage", data: { content: "", tool_calls: [{ name: "find", args: { a: 1 } }] } };
    expect(asMessage(langchain)?.toolCalls).toEqual([{ name: "find", args: { a: 1 } }]);
  });

  it("is not fooled by data that only looks alike", () => {
    for (const value of [{ role: "user" }, { content: "x" }, { role: "constructor", content: "x" }, { type: "house", content: "x" }, "user", null, 3, []]) {
      expect(asMessage(value)).toBeNull();
    }
    expect(asChat([{ role: "user", content: "x" }, { id: 1 }])).toBeNull();
    expect(asChat([])).toBeNull();
  });

  it("a cut in a conversation stays visible", () => {
    const chat = asChat([{ role: "user", content: "x" }, { $ftnb: "cut", why: "size", type: "items", n: 398 }, { role: "ai", content: "y" }]);
    expect(chat?.length).toBe(3);
    expect(chat?.[1]).toEqual({ marker: { $ftnb: "cut", why: "size", type: "items", n: 398 } });
  });
});

describe("markers", () => {
  it("say what is missing", () => {
    expect(absence({ $ftnb: "cut", why: "size", type: "chars", n: 1_234 })).toBe("… 1,234 more characters");
    expect(absence({ $ftnb: "cut", why: "cycle", type: "dict" })).toBe("left out when recorded (cycle, dict)");
    expect(absence({ $ftnb: "ref", id: "b", n_bytes: 12_300 })).toBe("stored apart, 12.3 kB");
    expect(absence({ $ftnb: "list", n: 402, chunks: [], tail: [] })).toBe("a list of 402 items, stored apart");
    expect(absence({ $ftnb: "int", value: "1" })).toBeNull();
  });

  it("show the value that they hold", () => {
    expect(scalarText({ $ftnb: "int", value: "9007199254740993" })).toBe("9007199254740993");
    expect(scalarText({ $ftnb: "timedelta", value: [1, 5, 0] })).toBe("86405 s");
  });

  it("are not taken from a prototype", () => {
    expect(markerOf(Object.create({ $ftnb: "cut" }))).toBeNull();
    expect(markerOf(JSON.parse('{"__proto__": {"$ftnb": "cut"}}'))).toBeNull();
  });
});
