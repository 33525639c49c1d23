// The viewer in a browser: a list of engagements, and one of them open below. Its address says which, and which step.

import { App } from "../app";
import { button, h, icon } from "../dom";
import { count } from "../format";
import { modelHost } from "../host";
import { ICON_UNPLUGGED } from "../status";
import { Notice } from "../states";
import css from "../styles.css";
import { applyTheme, watchTheme } from "../theme";
import { ListView, type Row } from "./list";
import { RunModel } from "./model";
import { hashOf, placeOf } from "./route";
import serverCss from "./server.css";
import { type Message, Socket, socketAddress } from "./socket";

interface Following {
  dropped: number;
  detail: string;
  stalled_s: number;
}

class Page {
  private readonly root = h("div", { class: "ftnb ftnb-server", attrs: { role: "main" } });
  private readonly badges = h("span", { class: "ftnb-tags" });
  private readonly lost = h("div", { class: "ftnb-banner", attrs: { role: "status", hidden: true } }, icon(ICON_UNPLUGGED), h("span", {}, h("b", { text: "The server is not reached. " }), "This is what the page had; it goes on by itself as soon as the server is back."));
  private readonly problem = new Notice();
  private readonly home = button("All engagements", () => (location.hash = "#/"), { class: "ftnb-button" });
  private readonly place = h("div", { class: "ftnb-server-run" });
  private readonly list = new ListView((status) => status === 401 && this.logOut());
  private readonly socket: Socket;
  private run: { model: RunModel; stop: () => void } | null = null;
  private dropped = 0;
  private following: Following | null = null;

  constructor(el: HTMLElement) {
    const head = h("header", { class: "ftnb-head" }, h("span", { class: "ftnb-name", text: "ftnb" }), this.home, h("span", { class: "ftnb-spacer" }), this.badges);
    this.root.append(h("style", { text: css + serverCss }), head, this.lost, this.problem.element, this.list.element, this.place);
    el.replaceChildren(this.root);
    applyTheme(this.root);
    watchTheme(() => applyTheme(this.root), new AbortController().signal);
    this.socket = new Socket(socketAddress("api/live"), (message) => this.take(message), () => this.connected(), () => this.disconnected());
    addEventListener("hashchange", () => this.go());
    this.go();
    this.root.dataset.ready = "1";
  }

  /** Show what the address names. */
  private go(): void {
    const { engagement, steps } = placeOf(location.hash);
    const isList = engagement === null;
    this.list.element.hidden = !isList;
    this.home.hidden = isList;
    this.problem.clear();
    if (this.run && this.run.model.id !== engagement) this.close();
    if (isList) {
      document.title = "ftnb";
      void this.list.load();
    } else if (this.run) this.run.model.select(steps);
    else this.open(engagement, steps);
  }

  private open(id: string, steps: string[]): void {
    const selected = (chosen: string[]) => history.replaceState(null, "", hashOf({ engagement: id, steps: chosen }));
    const model = new RunModel(id, this.socket, selected, (relative) => (location.hash = hashOf({ engagement: relative, steps: [] })));
    const controller = new AbortController();
    const app = new App(modelHost(model, this.place, controller.signal), controller.signal, "server");
    app.mount(this.place);
    Object.assign(app.root, { ftnb: app });
    this.run = { model, stop: () => (controller.abort(), app.root.remove()) };
    model.select(steps);
    this.socket.send({ op: "watch", engagement: id });
  }

  private close(): void {
    this.run?.stop();
    this.run = null;
    this.socket.send({ op: "unwatch" });
  }

  private take(message: Message): void {
    const { model } = this.run ?? {};
    if (message.op === "rows") {
      this.following = message.following as Following | null;
      this.list.take(message.rows as Row[], message.whole as boolean);
      this.showBadges();
    } else if (message.op === "dropped") {
      this.dropped = message.n as number;
      this.showBadges();
    } else if (message.op === "problem") {
      if (message.engagement === model?.id) this.fail(String(message.error));
    } else if (model && (message.engagement === undefined || message.engagement === model.id)) {
      model.take(message);
      const payload = model.get("_payload") as { engagement?: { name: string } } | null;
      document.title = `${payload?.engagement?.name ?? "run"} · ftnb`;
    }
  }

  /** The run that the address names cannot be shown. */
  private fail(why: string): void {
    this.run?.stop();
    this.run = null;
    this.problem.fail("This engagement cannot be shown", why);
  }

  private connected(): void {
    this.lost.hidden = true;
    this.root.dataset.connected = "1";
    this.socket.send({ op: "list" });
    if (this.run) this.socket.send({ op: "watch", engagement: this.run.model.id });
    else if (placeOf(location.hash).engagement === null) void this.list.load();
  }

  private disconnected(): void {
    this.lost.hidden = false;
    this.root.dataset.connected = "0";
    this.run?.model.lost();
    // Either the server is gone, or it no longer knows this browser.
    fetch(socketAddress("api/engagements?limit=1").href.replace(/^ws/, "http"), { credentials: "same-origin" }).then(
      (response) => response.status === 401 && this.logOut(),
      () => {},
    );
  }

  private logOut(): void {
    location.assign(new URL("login", document.baseURI));
  }

  private showBadges(): void {
    const badges: HTMLElement[] = [];
    const add = (text: string, title: string) => {
      const badge = h("span", { class: "ftnb-chip", text, title });
      badge.style.setProperty("--c", "var(--ftnb-failed)");
      badges.push(badge);
    };
    if (this.dropped) add(`${count(this.dropped)} messages skipped`, "This browser was too slow for what happened; it was then sent the whole again, so nothing is missing on the page.");
    const { following } = this;
    if (following?.dropped) add(`recorder dropped ${count(following.dropped)}`, following.detail);
    if (following && following.stalled_s >= 2) add(`store stalled ${Math.round(following.stalled_s)} s`, "The writer waits for the store: it is locked, full or gone.");
    this.badges.replaceChildren(...badges);
  }
}

/** Draw the viewer into the page that the server sent. */
export function startServerPage(): void {
  const el = document.getElementById("ftnb-viewer");
  if (el) new Page(el);
}
