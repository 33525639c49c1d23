// The runtime module: loaded once per kernel as the `_esm` of a hidden widget, and inlined in HTML files.

import { App } from "./app";
import { browseHost } from "./browse/host";
import { BrowserApp } from "./browse/view";
import { open } from "./columns";
import { type AnyModel, type Host, modelHost, staticHost } from "./host";
import { isOther, type OtherPayload, startOther } from "./other";
import { type GetModel, monitorHost } from "./monitor/host";
import { MonitorApp } from "./monitor/view";
import type { EngagementPayload } from "./protocol.gen";
import { startServerPage } from "./server/page";

interface Mounting {
  model: AnyModel;
  el: HTMLElement;
  /** Aborted when the view goes; older hosts give none. */
  signal?: AbortSignal;
}

interface Placed {
  readonly root: HTMLElement;
  mount(el: HTMLElement): void;
}

/** Draw into `el`; returns what takes it away again, as the end of `signal` does. */
function place(app: Placed, el: HTMLElement, controller: AbortController, signal?: AbortSignal): () => void {
  app.mount(el);
  Object.assign(app.root, { ftnb: app });
  const stop = () => {
    controller.abort();
    app.root.remove();
  };
  signal?.addEventListener("abort", stop, { once: true });
  return stop;
}

function start(host: Host, el: HTMLElement, controller: AbortController): () => void {
  return place(new App(host, controller.signal), el, controller);
}

function mount({ model, el, signal }: Mounting): () => void {
  const controller = new AbortController();
  const payload = model.get("_payload");
  const stop = isOther(payload) ? startOther(payload, el, controller) : start(modelHost(model, el, controller.signal), el, controller);
  signal?.addEventListener("abort", stop, { once: true });
  return stop;
}

/** The monitor; a run that is opened in it is a view of its own inside. */
function mountMonitor({ model, el, signal, getModel }: Mounting & { getModel: GetModel }): () => void {
  const controller = new AbortController();
  const host = monitorHost(model, getModel, el, controller.signal);
  const app = new MonitorApp(host, (own, inside) => mount({ model: own, el: inside }), controller.signal);
  return place(app, el, controller, signal);
}

/** The browser of many engagements; a run that is opened in it is a view of its own inside. */
function mountBrowser({ model, el, signal, getModel }: Mounting & { getModel: GetModel }): () => void {
  const controller = new AbortController();
  const host = browseHost(model, getModel, el, controller.signal);
  const app = new BrowserApp(host, (own, inside) => mount({ model: own, el: inside }), controller.signal);
  return place(app, el, controller, signal);
}

/** Pages that we write say so on their root element and carry the payloads beside the places to draw them. */
function mountPage(): void {
  for (const el of document.querySelectorAll<HTMLElement>("[data-ftnb-payload]")) {
    const text = document.getElementById(el.dataset.ftnbPayload ?? "")?.textContent;
    if (!text) continue;
    el.replaceChildren();
    const payload = JSON.parse(text) as EngagementPayload | OtherPayload;
    if (isOther(payload)) startOther(payload, el, new AbortController());
    else start(staticHost(open(payload)), el, new AbortController());
  }
}

if (typeof document !== "undefined" && document.documentElement.hasAttribute("data-ftnb-page")) mountPage();
if (typeof document !== "undefined" && document.documentElement.hasAttribute("data-ftnb-server")) startServerPage();

export default { initialize: () => ({ mount, mountMonitor, mountBrowser }) };
