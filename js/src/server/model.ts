// One run as the server tells it, in the form that hosts are made of. What the user selects stays in this page.

import type { AnyModel } from "../host";
import type { Connection, Message } from "./socket";

const ASKED = ["hello", "fetch", "detail", "search", "inspect", "family"];

type Listener = (...args: never[]) => void;

export class RunModel implements AnyModel {
  private readonly state = new Map<string, unknown>([["_payload", null], ["selection", []], ["_state", {}], ["_can", ["inspect", "family"]]]);
  private readonly listeners = new Map<string, Set<Listener>>();

  constructor(
    readonly id: string,
    private readonly connection: Connection,
    private readonly onSelection: (ids: string[]) => void,
    private readonly onRelative: (id: string) => void = () => {},
  ) {}

  get(name: string): unknown {
    return this.state.get(name);
  }

  set(name: string, value: unknown): void {
    this.state.set(name, value);
    if (name === "selection") this.onSelection(value as string[]);
  }

  save_changes(): void {}

  send(content: unknown): void {
    const { op, show, seq } = content as Message;
    // Before the first payload there is nothing to be behind of.
    if (op === "hello" && this.state.get("_payload") === null) return;
    if (op === "family" && typeof show === "string") {
      // Another member of the family has an address of its own here.
      this.onRelative(show);
      this.fire("msg:custom", { op: "answer", seq, value: [], error: null });
    } else if (ASKED.includes(op)) this.connection.send(content as object);
  }

  on(event: string, listener: Listener): void {
    this.listeners.set(event, (this.listeners.get(event) ?? new Set()).add(listener));
  }

  off(event: string, listener: Listener): void {
    this.listeners.get(event)?.delete(listener);
  }

  /** The server said something of this run. */
  take(message: Message): void {
    if (message.op === "payload") {
      this.fire("msg:custom", { op: "here" });
      this.change("_payload", message.payload);
    } else this.fire("msg:custom", message);
  }

  /** The page's address names other steps. */
  select(ids: string[]): void {
    if (JSON.stringify(ids) !== JSON.stringify(this.state.get("selection"))) this.change("selection", ids);
  }

  /** Nobody answers for now. */
  lost(): void {
    this.fire("comm_live_update");
  }

  private change(name: string, value: unknown): void {
    this.state.set(name, value);
    this.fire(`change:${name}`);
  }

  private fire(event: string, ...args: unknown[]): void {
    for (const listener of this.listeners.get(event) ?? []) (listener as (...all: unknown[]) => void)(...args);
  }
}
