// Where the browser of many engagements lives: the page that is shown, and the run that is open below it.

import type { AnyModel } from "../host";
import type { GetModel } from "../monitor/host";
import type { AnswerMessage, BrowseMessage, BrowseQuery, BrowserPayload, OpenMessage } from "../protocol.gen";

export interface BrowseHost {
  payload(): BrowserPayload;
  /** The model of the run that is open; null: none. */
  opened(): Promise<AnyModel | null>;
  open(engagement: string | null, step: string | null): void;
  browse(query: BrowseQuery): void;
  onChange(listener: (what: "page" | "opened" | "refused" | "connection", text?: string) => void): void;
  connected(): boolean;
}

export function browseHost(model: AnyModel, getModel: GetModel, el: Element, signal: AbortSignal): BrowseHost {
  let seq = 0;
  let gone = false;
  const listen = (event: string, listener: (...args: never[]) => void) => {
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
    payload: () => model.get("_page") as BrowserPayload,
    async opened() {
      const ref = model.get("_opened");
      return ref ? await getModel(ref) : null;
    },
    open: (engagement, step) => send({ op: "open", engagement, step, seq: ++seq } satisfies OpenMessage),
    browse: (query) => send({ op: "browse", query, seq: ++seq } satisfies BrowseMessage),
    onChange(listener) {
      const back = () => {
        if (!gone) return;
        gone = false;
        listener("connection");
      };
      listen("change:_page", () => {
        back();
        listener("page");
      });
      listen("change:_opened", () => {
        back();
        listener("opened");
      });
      listen("msg:custom", (message: AnswerMessage) => message?.op === "answer" && message.error !== null && listener("refused", message.error));
      // It does not say whether the kernel came or went: taken for gone until it sends something.
      listen("comm_live_update", () => {
        gone = true;
        listener("connection");
      });
    },
    connected: () => !gone && el.closest(".jupyter-widgets-disconnected") === null,
  };
}
