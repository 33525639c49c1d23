import { describe, expect, it, vi } from "vitest";
import { type AnyModel, modelHost, staticHost } from "../src/host";
import { golden } from "./golden";

type Listener = (...args: never[]) => void;

class FakeModel implements AnyModel {
  readonly state: Record<string, unknown> = { _payload: golden("house"), selection: ["s1"], _can: ["annotate"] };
  readonly listeners: Array<[string, Listener]> = [];
  readonly sent: Array<{ op: string; seq: number }> = [];
  get last() {
    return this.sent.at(-1) ?? { op: "", seq: -1 };
  }
  save_changes = vi.fn();

  get = (name: string) => this.state[name];
  set = (name: string, value: unknown) => void (this.state[name] = value);
  send = (content: unknown) => void this.sent.push(content as { op: string; seq: number });
  on = (event: string, listener: Listener) => void this.listeners.push([event, listener]);
  off = (event: string, listener: Listener) => {
    const at = this.listeners.findIndex(([name, own]) => name === event && own === listener);
    this.listeners.splice(at, 1);
  };
  fire = (event: string, ...args: unknown[]) => {
    for (const [name, listener] of this.listeners) if (name === event) listener(...(args as never[]));
  };
}

const place = { closest: () => null } as unknown as Element;

describe("a host with a kernel", () => {
  it("tells of a selection both ways: by message, and by trait", () => {
    const model = new FakeModel();
    modelHost(model, place, new AbortController().signal).select(["s3"]);
    expect(model.sent.map((one) => one.op)).toEqual(["hello", "select"]);
    expect(model.last).toMatchObject({ op: "select", selection: ["s3"] });
    expect(model.state.selection).toEqual(["s3"]);
    expect(model.save_changes).toHaveBeenCalledOnce();
  });

  it("gives each answer to the one who asked", async () => {
    const model = new FakeModel();
    const host = modelHost(model, place, new AbortController().signal);
    const first = host.fetch?.("state", "s0", null);
    const one = model.last.seq;
    const second = host.fetch?.("event", "s1", 2);
    const two = model.last.seq;
    const preview = { value: 1, cut: false, n_bytes: 1 };
    model.fire("msg:custom", { op: "value", seq: two, preview: null, error: "gone" });
    model.fire("msg:custom", { op: "value", seq: one, preview, error: null });
    model.fire("msg:custom", { op: "value", seq: 99, preview, error: null });
    await expect(first).resolves.toEqual(preview);
    await expect(second).rejects.toThrow("gone");
  });

  it("keeps the view's state in the model, field by field", () => {
    const model = new FakeModel();
    const host = modelHost(model, place, new AbortController().signal);
    host.setState({ tab: "events" });
    host.setState({ time_ms: 12 });
    expect(model.last).toMatchObject({ op: "state", state: { time_ms: 12 } });
    expect(model.state._state).toMatchObject({ tab: "events", time_ms: 12, filter: null });
    expect(modelHost(model, place, new AbortController().signal).state().tab).toBe("events");
  });

  it("is not thrown back to an older choice by the kernel's late repetition of it", () => {
    const model = new FakeModel();
    const host = modelHost(model, place, new AbortController().signal);
    const seen: string[] = [];
    host.onChange((what) => seen.push(what));
    host.select(["s3"]);
    host.select(["s4"]);
    model.state.selection = ["s3"];
    model.fire("change:selection");
    expect(seen).toEqual([]);
    model.state.selection = ["s9"];
    model.fire("change:selection");
    expect(seen).toEqual(["selection"]);
  });

  it("applies a patch once, however many views hear it, and asks for the whole where one was missed", () => {
    const model = new FakeModel();
    const hosts = [1, 2].map(() => modelHost(model, place, new AbortController().signal));
    const seen: string[] = [];
    for (const host of hosts) host.onChange((what) => seen.push(what));
    const patch = (n: number) => ({ op: "patch", patch: n, changes: [{ path: ["engagement", "status"], value: `status ${n}`, n: null }] });
    model.fire("msg:custom", patch(1));
    expect(seen).toEqual(["payload", "payload"]);
    expect(hosts[0]?.payload()).toMatchObject({ seq: 1, engagement: { status: "status 1" } });
    const before = model.sent.length;
    model.fire("msg:custom", patch(3));
    expect(hosts[0]?.payload()?.seq).toBe(1);
    expect(model.sent.slice(before).map((one) => one.op)).toEqual(["hello", "hello"]);
  });

  it("offers judgements only where they can be put on record", () => {
    const model = new FakeModel();
    expect(modelHost(model, place, new AbortController().signal).annotate).not.toBeNull();
    model.state._can = [];
    expect(modelHost(model, place, new AbortController().signal).annotate).toBeNull();
  });

  it("has no run before the first one", () => {
    const model = new FakeModel();
    model.state._payload = {};
    expect(modelHost(model, place, new AbortController().signal).payload()).toBeNull();
  });

  it("stops listening when the view goes", () => {
    const model = new FakeModel();
    const controller = new AbortController();
    const seen: string[] = [];
    modelHost(model, place, controller.signal).onChange((what) => seen.push(what));
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
