// Where the monitor lives: its rows, and the run that is open below them.

import type { AnyModel } from "../host";
import type { MonitorPayload, OpenMessage, RemoveAlertMessage } from "../protocol.gen";

/** Gives the model that a reference in another model stands for. */
export type GetModel = (ref: unknown) => Promise<AnyModel>;

export interface MonitorHost {
  payload(): MonitorPayload | null;
  /** The model of the run that is open; null: none. */
  opened(): Promise<AnyModel | null>;
  open(engagement: string | null, step: string | null): void;
  removeAlert(key: number): void;
  onChange(listener: (what: "rows" | "opened" | "connection") => void): void;
  connected(): boolean;
}

export function monitorHost(model: AnyModel, getModel: GetModel, el: Element, signal: AbortSignal): MonitorHost {
  let seq = 0;
  let gone = false;
  const listen = (event: string, listener: () => void) => {
    model.on(event, listener);
    signal.addEventListener("abort", () => model.off(event, listener), { once: true });
  };
  const send = (message: object) => {
    try {
      model.send(message);
    } catch (error) {
      console.debug("ftnb: not sent", error);
    }
  };
  return {
    payload: () => (model.get("_rows") as MonitorPayload | null) ?? null,
    async opened() {
      const ref = model.get("_opened");
      return ref ? await getModel(ref) : null;
    },
    open: (engagement, step) => send({ op: "open", engagement, step, seq: ++seq } satisfies OpenMessage),
    removeAlert: (key) => send({ op: "remove_alert", key, seq: ++seq } satisfies RemoveAlertMessage),
    onChange(listener) {
      listen("change:_rows", () => {
        if (gone) {
          gone = false;
          listener("connection");
        }
        listener("rows");
      });
      listen("change:_opened", () => listener("opened"));
      // It does not say whether the kernel came or went: taken for gone until rows come.
      listen("comm_live_update", () => {
        gone = true;
        listener("connection");
      });
    },
    connected: () => !gone && el.closest(".jupyter-widgets-disconnected") === null,
  };
}
