// Where the widget lives. This is the only file that knows anywidget's model; everything else sees a Host.

import type {
  DetailPart,
  EngagementPayload,
  FetchMessage,
  Preview,
  SelectMessage,
  ValueMessage,
} from "./protocol.gen";

/** The part of anywidget's model that is used here. */
export interface AnyModel {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(content: unknown): void;
  on(event: string, listener: (...args: never[]) => void): void;
  off(event: string, listener: (...args: never[]) => void): void;
}

export interface Host {
  payload(): EngagementPayload;
  /** Ids of the selected steps; the last one is shown in the inspector. */
  selection(): string[];
  /** The user selected these steps. */
  select(ids: string[]): void;
  /** Call `listener` when the other side changed the payload or the selection. */
  onChange(listener: (what: "payload" | "selection") => void): void;
  /** The whole of a value that was sent cut; null where nobody can be asked. */
  fetch: ((part: DetailPart, step: string | null, event: number | null) => Promise<Preview>) | null;
}

/** A host with a kernel behind it. Ends with `signal`. */
export function modelHost(model: AnyModel, signal: AbortSignal): Host {
  let seq = 0;
  const waiting = new Map<number, { resolve: (value: Preview) => void; reject: (reason: Error) => void }>();
  const listen = (event: string, listener: (...args: never[]) => void) => {
    model.on(event, listener);
    signal.addEventListener("abort", () => model.off(event, listener), { once: true });
  };
  listen("msg:custom", (message: ValueMessage) => {
    const asked = message?.op === "value" ? waiting.get(message.seq) : undefined;
    if (!asked) return;
    waiting.delete(message.seq);
    if (message.preview) asked.resolve(message.preview);
    else asked.reject(new Error(message.error ?? "no value"));
  });
  return {
    payload: () => model.get("_payload") as EngagementPayload,
    selection: () => (model.get("selection") as string[] | null) ?? [],
    select(ids) {
      // Both ways: while a cell awaits, only custom messages get through; marimo and saved state see only traits.
      model.send({ op: "select", selection: ids, seq: ++seq } satisfies SelectMessage);
      model.set("selection", ids);
      model.save_changes();
    },
    onChange(listener) {
      listen("change:_payload", () => listener("payload"));
      listen("change:selection", () => listener("selection"));
    },
    fetch(part, step, event) {
      const own = ++seq;
      model.send({ op: "fetch", part, step, event, seq: own } satisfies FetchMessage);
      return new Promise((resolve, reject) => waiting.set(own, { resolve, reject }));
    },
  };
}

/** A host in a saved file: nobody answers. */
export function staticHost(payload: EngagementPayload): Host {
  let selection: string[] = [];
  return {
    payload: () => payload,
    selection: () => selection,
    select: (ids) => {
      selection = ids;
    },
    onChange: () => {},
    fetch: null,
  };
}
