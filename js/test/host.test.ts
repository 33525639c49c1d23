import { describe, expect, it, vi } from "vitest";
import { type AnyModel, modelHost, staticHost } from "../src/host";
import { golden } from "./golden";

type Listener = (...args: never[]) => void;

class FakeModel implements AnyModel {
  readonly state: Record<string, unknown> = { _payload: golden("house"), selection: ["s1"] };
  readonly listeners: Array<[string, Listener]> = [];
  readonly sent: unknown[] = [];
  save_changes = vi.fn();

  get = (name: string) => this.state[name];
  set = (name: string, value: unknown) => void (this.state[name] = value);
  send = (content: unknown) => void this.sent.push(content);
  on = (event: string, listener: Listener) => void this.listeners.push([event, listener]);
  off = (event: string, listener: Listener) => {
    const at = this.listeners.findIndex(([name, own]) => name === event && own === listener);
    this.listeners.splice(at, 1);
  };
  fire = (event: string, ...args: unknown[]) => {
    for (const [name, listener] of this.listeners) if (name === event) listener(...(args as never[]));
  };
}

describe("a host with a kernel", () => {
  it("tells of a selection both ways: by message, and by trait", () => {
    const model = new FakeModel();
    modelHost(model, new AbortController().signal).select(["s3"]);
    expect(model.sent).toEqual([{ op: "select", selection: ["s3"], seq: 1 }]);
    expect(model.state.selection).toEqual(["s3"]);
    expect(model.save_changes).toHaveBeenCalledOnce();
  });

  it("gives each answer to the one who asked", async () => {
    const model = new FakeModel();
    const host = modelHost(model, new AbortController().signal);
    const [first, second] = [host.fetch?.("state", "s0", null), host.fetch?.("event", "s1", 2)];
    const preview = { value: 1, cut: false, n_bytes: 1 };
    model.fire("msg:custom", { op: "value", seq: 2, preview: null, error: "gone" });
    model.fire("msg:custom", { op: "value", seq: 1, preview, error: null });
    model.fire("msg:custom", { op: "value", seq: 99, preview, error: null });
    await expect(first).resolves.toEqual(preview);
    await expect(second).rejects.toThrow("gone");
  });

  it("stops listening when the view goes", () => {
    const model = new FakeModel();
    const controller = new AbortController();
    const seen: string[] = [];
    modelHost(model, controller.signal).onChange((what) => seen.push(what));
    model.fire("change:selection");
    controller.abort();
    model.fire("change:_payload");
    expect(seen).toEqual(["selection"]);
    expect(model.listeners).toEqual([]);
  });
});

it("a saved file keeps the selection and has nobody to ask", () => {
  const host = staticHost(golden("house"));
  host.select(["s2"]);
  expect(host.selection()).toEqual(["s2"]);
  expect(host.fetch).toBeNull();
});
