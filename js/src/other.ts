// Views of more than one run. Which one, the payload says.

import { ComparisonApp } from "./compare/app";
import { MapApp } from "./map/app";
import { type ComparisonPayload, PROTOCOL_VERSION, type ProcessMapPayload } from "./protocol.gen";

export type OtherPayload = ComparisonPayload | ProcessMapPayload;

export function isOther(payload: unknown): payload is OtherPayload {
  const kind = typeof payload === "object" && payload !== null ? (payload as { kind?: unknown }).kind : null;
  return kind === "comparison" || kind === "process_map";
}

/** Draw into `el`; returns what takes it away again. */
export function startOther(payload: OtherPayload, el: HTMLElement, controller: AbortController): () => void {
  if (payload.v !== PROTOCOL_VERSION) {
    const note = document.createElement("p");
    note.textContent = `This view speaks protocol ${PROTOCOL_VERSION}, the data ${payload.v}. Restart the kernel and reload the page.`;
    el.append(note);
    return () => note.remove();
  }
  const app = payload.kind === "comparison" ? new ComparisonApp(payload, controller.signal) : new MapApp(payload, controller.signal);
  app.mount(el);
  Object.assign(app.root, { ftnb: app });
  return () => {
    controller.abort();
    app.root.remove();
  };
}
