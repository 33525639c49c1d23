// The runtime module: loaded once per kernel as the `_esm` of a hidden widget, and inlined in HTML files.

import { App } from "./app";
import { type AnyModel, type Host, modelHost, staticHost } from "./host";
import type { EngagementPayload } from "./protocol.gen";

interface Mounting {
  model: AnyModel;
  el: HTMLElement;
  /** Aborted when the view goes; older hosts give none. */
  signal?: AbortSignal;
}

/** Draw into `el`; returns what takes it away again. */
function start(host: Host, el: HTMLElement, controller: AbortController): () => void {
  const app = new App(host, controller.signal);
  app.mount(el);
  Object.assign(app.root, { ftnb: app });
  return () => {
    controller.abort();
    app.root.remove();
  };
}

function mount({ model, el, signal }: Mounting): () => void {
  const controller = new AbortController();
  const stop = start(modelHost(model, el, controller.signal), el, controller);
  signal?.addEventListener("abort", stop, { once: true });
  return stop;
}

/** Pages that we write say so on their root element and carry the payloads beside the places to draw them. */
function mountPage(): void {
  for (const el of document.querySelectorAll<HTMLElement>("[data-ftnb-payload]")) {
    const text = document.getElementById(el.dataset.ftnbPayload ?? "")?.textContent;
    if (!text) continue;
    el.replaceChildren();
    start(staticHost(JSON.parse(text) as EngagementPayload), el, new AbortController());
  }
}

if (typeof document !== "undefined" && document.documentElement.hasAttribute("data-ftnb-page")) mountPage();

export default { initialize: () => ({ mount }) };
