// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { offer } from "../src/places";

let n = 0;
let key = "";
let end = new AbortController();
let drawn: HTMLElement[] = [];
let stopped = 0;

beforeEach(() => {
  vi.useFakeTimers();
  key = `k${n++}`;
  end = new AbortController();
  drawn = [];
  stopped = 0;
});

afterEach(() => {
  end.abort();
  document.body.replaceChildren();
  vi.useRealTimers();
});

function place(): HTMLElement {
  const made = document.createElement("ftnb-view");
  made.dataset.key = key;
  made.textContent = "picture";
  document.body.append(made);
  return made;
}

function begin(isOpen = false): void {
  offer(key, (el) => {
    drawn.push(el);
    el.textContent = "view";
    return () => void stopped++;
  }, end.signal, isOpen);
}

const isLive = (one: HTMLElement) => one.shadowRoot?.textContent === "view";
const isPicture = (one: HTMLElement) => one.shadowRoot === null || one.shadowRoot.firstElementChild?.matches("slot:not([name])") === true;

test("a place is filled whether it comes before the view or after it", () => {
  const before = place();
  expect(isPicture(before)).toBe(true);
  begin();
  const after = place();
  expect([before, after].map(isLive)).toEqual([true, true]);
  expect(before.textContent).toBe("picture");
  expect(drawn).toHaveLength(2);
});

test("a place of another key is left alone", () => {
  const other = place();
  other.dataset.key = "unknown";
  begin();
  expect(isPicture(other)).toBe(true);
});

test("a picture that is brought up to date gets the view that was there, as it is", () => {
  const old = place();
  begin();
  old.remove();
  const fresh = place();
  expect(isLive(fresh)).toBe(true);
  expect(drawn).toHaveLength(1);
  vi.runAllTimers();
  expect(stopped).toBe(0);
});

test("a place that is taken off and put back keeps its view; one that stays away loses it", () => {
  const one = place();
  begin();
  one.remove();
  vi.advanceTimersByTime(1_000);
  document.body.append(one);
  vi.runAllTimers();
  expect([drawn.length, stopped]).toEqual([1, 0]);
  one.remove();
  vi.runAllTimers();
  expect(stopped).toBe(1);
  document.body.append(one);
  expect([isLive(one), drawn.length]).toEqual([true, 2]);
});

test("when the model goes the picture is seen again", () => {
  const one = place();
  begin();
  end.abort();
  expect(isPicture(one)).toBe(true);
  expect(stopped).toBe(1);
  expect(isPicture(place())).toBe(true);
});

test("a view that styles of the page are to reach is a child of the place, and the picture still has no slot", () => {
  const one = place();
  begin(true);
  expect(one.lastElementChild?.textContent).toBe("view");
  expect(one.shadowRoot?.querySelector("slot")?.name).toBe("live");
  end.abort();
  expect(one.textContent).toBe("picture");
});

test("a view that cannot be drawn leaves the picture", () => {
  const told = vi.spyOn(console, "error").mockImplementation(() => {});
  const one = place();
  offer(key, () => {
    throw new Error("no");
  }, end.signal);
  expect(isPicture(one)).toBe(true);
  expect(told).toHaveBeenCalledOnce();
});
