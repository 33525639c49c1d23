// @vitest-environment jsdom
import { describe, expect, it, vi } from "vitest";
import { staticHost } from "../src/host";
import { chipsNear } from "../src/panel/facts";
import { PanelView } from "../src/panel/view";
import { Run } from "../src/run";
import { golden } from "./golden";

function panelOf(name: string) {
  const run = new Run(golden(name));
  const events = { onStep: vi.fn(), onHome: vi.fn(), onHover: vi.fn(), onSay: vi.fn() };
  return { run, events, panel: new PanelView(staticHost(run.payload), events) };
}

describe("the list of steps", () => {
  it("has every step in the order of time, and a click selects it", () => {
    const { panel, run, events } = panelOf("house");
    panel.show(run, null);
    const items = [...panel.element.querySelectorAll<HTMLButtonElement>(".ftnb-steps button")];
    expect(items.length).toBe(15);
    expect(items[6]?.title).toBe(run.describe(run.order[6] ?? -1));
    items[6]?.click();
    expect(events.onStep).toHaveBeenCalledWith(run.order[6]);
  });

  it("says what is missing, what failed, and that there is nothing", () => {
    const text = (name: string) => {
      const { panel, run } = panelOf(name);
      panel.show(run, null);
      return panel.element.textContent ?? "";
    };
    expect(text("nested")).toContain("Missing from this trace: 3 records (queue_full): payloads over 64 MB");
    expect(text("failed")).toContain("KeyError: listing 2 has no price");
    expect(text("empty")).toContain("No step has been recorded yet.");
  });
});

describe("one step", () => {
  it("offers each visit, the shown one pressed", () => {
    const { panel, run, events } = panelOf("house");
    panel.show(run, 6);
    const chips = [...panel.element.querySelectorAll<HTMLButtonElement>(".ftnb-visits button")];
    expect(chips.map((chip) => chip.getAttribute("aria-pressed"))).toEqual(["false", "true", "false"]);
    expect(panel.element.textContent).toContain("visit 2 of 3");
    chips[0]?.click();
    expect(events.onStep).toHaveBeenCalledWith(2);
  });

  it("shows in tabs its error and causes, input and output, what changed, messages, events, tools", () => {
    const run = new Run(golden("failed"));
    const host = staticHost(run.payload);
    const panel = new PanelView(host, { onStep() {}, onHome() {}, onHover() {}, onSay() {} });
    const text = (tab: string, step = 9) => {
      host.setState({ tab });
      panel.show(run, step);
      return panel.element.textContent ?? "";
    };
    for (const part of ["KeyError: listing 2 has no price", "rank #2", "(conditional)"]) expect(text("summary")).toContain(part);
    for (const part of ["Input", "ranked"]) expect(text("io")).toContain(part);
    expect(text("messages")).toContain("garden");
    expect(text("events")).toContain("price");
    expect(text("tools")).toContain("listing");
    expect(text("raw")).toContain("duration_ms");
    expect(text("diff", 1)).toContain("/rooms");
    expect(text("extraction", 1)).toContain("450000");
  });

  it("hides tabs that have nothing to show, and falls back to the summary", () => {
    const run = new Run(golden("house"));
    const host = staticHost(run.payload);
    const panel = new PanelView(host, { onStep() {}, onHome() {}, onHover() {}, onSay() {} });
    host.setState({ tab: "extraction" });
    panel.show(run, 4);
    const tabs = [...panel.element.querySelectorAll('[role="tab"]')].map((tab) => [tab.textContent, tab.getAttribute("aria-selected")]);
    expect(tabs.map(([title]) => title)).not.toContain("Extraction");
    expect(tabs[0]).toEqual(["Summary", "true"]);
    panel.turn(1);
    expect(host.state().tab).not.toBe("summary");
  });

  it("opens the event that was clicked in the timeline", () => {
    const { panel, run } = panelOf("house");
    panel.show(run, 1, { event: 1 });
    const chosen = panel.element.querySelector<HTMLDetailsElement>(".ftnb-event.chosen");
    expect(chosen?.open).toBe(true);
    expect(chosen?.textContent).toContain("Wish");
  });

  it("without details says that they were left out", () => {
    const payload = { ...golden("house"), details: [] };
    const run = new Run(payload);
    const panel = new PanelView(staticHost(payload), { onStep() {}, onHome() {}, onHover() {}, onSay() {} });
    panel.show(run, 0);
    expect(panel.element.textContent).toContain("left out of this view");
  });
});

it.each([
  [3, 1, [0, 1, 2]],
  [30, 0, [0, 1, 2, 3, 4, 5, 6, 7, null, 29]],
  [30, 14, [0, null, 11, 12, 13, 14, 15, 16, 17, null, 29]],
  [30, 29, [0, null, 22, 23, 24, 25, 26, 27, 28, 29]],
])("of %d visits at number %d these are offered", (n, at, expected) => expect(chipsNear(n, at)).toEqual(expected));
