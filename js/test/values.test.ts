// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { previewElement, valueElement } from "../src/panel/values";
import { golden } from "./golden";

const EVIL = "<script>window.__pwned = 1</script><img src=x onerror='window.__pwned=1'>";
const tick = () => new Promise((resolve) => setTimeout(resolve));
const openAll = (root: HTMLElement) => {
  for (const fold of root.querySelectorAll("details")) {
    fold.open = true;
    fold.dispatchEvent(new Event("toggle"));
  }
};

describe("values", () => {
  it("never become markup", () => {
    for (const value of [EVIL, { [EVIL]: EVIL }, [EVIL], { messages: [{ role: "user", content: EVIL }] }, { $ftnb: "object", type: EVIL, text: EVIL }]) {
      const element = valueElement(value);
      openAll(element);
      expect(element.querySelector("script, img")).toBeNull();
      expect(element.textContent).toContain("<script>");
    }
  });

  it("with the names of built-ins are shown like any other", () => {
    const value = JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1, "toString": "x"}') as unknown;
    const element = valueElement(value);
    openAll(element);
    expect(element.textContent).toContain("polluted");
    expect(element.textContent).toContain("constructor: 1");
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it("show conversations as messages with their roles", () => {
    const state = golden("house").details[1]?.state?.value;
    const roles = [...valueElement(state).querySelectorAll<HTMLElement>(".ftnb-message")].map((one) => one.dataset.role);
    expect(roles).toEqual(["system", "user", "assistant", "user"]);
  });

  it("are built in pages, so that a huge list does not freeze the browser", () => {
    const element = valueElement(Array.from({ length: 5_000 }, (_, i) => i));
    openAll(element);
    expect(element.querySelectorAll(".row").length).toBe(100);
    element.querySelector<HTMLButtonElement>("button")?.click();
    expect(element.querySelectorAll(".row").length).toBe(200);
  });
});

describe("a value that was cut", () => {
  const preview = { value: { $ftnb: "cut", why: "size", type: "chars", n: 96_000, head: "begin" }, cut: true, n_bytes: 100_000 };

  it("says so where nobody can be asked", () => {
    const element = previewElement(preview, null);
    expect(element.textContent).toContain("… 96,000 more characters");
    expect(element.textContent).toContain("Only a part of 100 kB is shown");
    expect([...element.querySelectorAll("button")].map((one) => one.title)).toEqual(["Copy what is here"]);
  });

  it("is replaced by the whole on request", async () => {
    const element = previewElement(preview, () => Promise.resolve({ value: "the whole", cut: false, n_bytes: 9 }));
    element.querySelector<HTMLButtonElement>(".ftnb-link")?.click();
    expect(element.textContent).toContain("Asking the kernel");
    await tick();
    expect(element.textContent).toBe("the whole");
  });

  it("gives the reason when it cannot be had, and another try", async () => {
    const element = previewElement(preview, () => Promise.reject(new Error("store is closed")));
    element.querySelector<HTMLButtonElement>(".ftnb-link")?.click();
    await tick();
    expect(element.textContent).toContain("store is closed");
    expect(element.querySelector(".ftnb-link")?.textContent).toBe("Try again");
  });
});
