// The runtime module: loaded once per kernel as the `_esm` of a hidden widget, and inlined in HTML files.

import { App } from "./app";
import { browseHost } from "./browse/host";
import { BrowserApp } from "./browse/view";
import { open } from "./columns";
import { type AnyModel, type Host, modelHost, staticHost } from "./host";
import { isOther, type OtherPayload, startOther } from "./other";
import { type GetModel, monitorHost } from "./monitor/host";
import { MonitorApp } from "./monitor/view";
import { offer } from "./places";
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

interface Attending {
  model: AnyModel & { widget_manager?: { get_model(id: string): Promise<AnyModel> } };
  /** Aborted when the model goes. */
  signal?: AbortSignal;
  /** What draws the view, as `mount` does. */
  mount(what: Mounting & { getModel: GetModel }): () => void;
  /** Whether styles of the page are to reach it. */
  isOpen?: boolean;
}

/** Draw the view of a model wherever the page keeps a place for it. */
function attend({ model, signal, mount, isOpen = false }: Attending): void {
  const key = model.get("_place");
  if (typeof key !== "string" || !key || signal?.aborted) return;
  const getModel: GetModel = (ref) =>
    model.widget_manager?.get_model(String(ref).replace(/^anywidget:/, "")) ?? Promise.reject(new Error("no widget manager"));
  offer(key, (el) => mount({ model, el, getModel }), signal ?? new AbortController().signal, isOpen);
}

type Taker = (runtime: object) => void;

/** Tell the views of this kernel, in the page already or to come, where the runtime is (see the loader in `_page.py`). */
function announce(key: unknown, runtime: object): void {
  if (typeof key !== "string") return;
  const page = globalThis as unknown as Record<symbol, Record<string, { push(taker: Taker): void }> | undefined>;
  const all = (page[Symbol.for("ftnb.runtimes")] ??= {});
  const waiting = all[key];
  all[key] = { push: (taker) => taker(runtime) };
  if (Array.isArray(waiting)) for (const taker of waiting as Taker[]) taker(runtime);
}

function initialize({ model }: { model?: AnyModel } = {}): object {
  const exports = { mount, mountMonitor, mountBrowser, attend };
  announce(model?.get("_place"), exports);
  return exports;
}

export default { initialize };
