// The monitor on the page: what runs, what waits, what has just ended, and what alerts told.

import { button, type Child, h, icon } from "../dom";
import { count, duration, plural } from "../format";
import type { AnyModel } from "../host";
import type { ActivityRow, AlarmRow, MonitorPayload } from "../protocol.gen";
import { ICON_BELL, ICON_CLOSE, ICON_WARNING, statusLook } from "../status";
import { Notice } from "../states";
import css from "../styles.css";
import { applyTheme, watchTheme } from "../theme";
import type { MonitorHost } from "./host";
import { sparkline } from "./spark";

const TICK_MS = 1_000;

/** Draws a run into a place; returns what takes it away. */
export type MountRun = (model: AnyModel, el: HTMLElement) => () => void;

export class MonitorApp {
  readonly root = h("div", { class: "ftnb ftnb-monitor", attrs: { role: "group", "aria-label": "Monitor" } });
  private readonly head = h("div", { class: "ftnb-head" });
  private readonly notice = new Notice();
  private readonly alerts = h("div", { class: "ftnb-alerts" });
  private readonly list = h("div", { class: "ftnb-list" });
  private readonly detail = h("div", { class: "ftnb-opened", attrs: { hidden: true } });
  private readonly aloud = h("div", { class: "ftnb-aloud", attrs: { "aria-live": "polite" } });
  private readonly body = h("tbody");
  private readonly rows = new Map<string, HTMLTableRowElement>();
  private readonly drawn = new Map<string, string>();
  private asked: string | null = null;
  private openId: string | null = null;
  private unmount: (() => void) | null = null;
  private lastAlarm: string | null = null;
  private got = performance.now();

  constructor(private readonly host: MonitorHost, private readonly mountRun: MountRun, private readonly signal: AbortSignal) {
    const titles = ["status", "engagement", "now", "for", "steps", "tokens", "tokens/s", "errors", "records"];
    const header = h("tr", {}, ...titles.map((title) => h("th", { text: title, attrs: { scope: "col" } })));
    this.list.append(h("table", { attrs: { "aria-label": "Engagements" } }, h("thead", {}, header), this.body));
    this.root.append(h("style", { text: css }), this.head, this.notice.element, this.alerts, this.list, this.detail, this.aloud);
    // What is typed here is not for Jupyter's command mode.
    this.root.addEventListener("keydown", (event) => this.onKey(event), { signal });
    this.root.addEventListener("keydown", () => (this.root.dataset.input = "key"), { signal, capture: true });
    this.root.addEventListener("pointerdown", () => (this.root.dataset.input = "pointer"), { signal, capture: true });
    host.onChange((what) => {
      if (what === "rows") this.draw();
      else if (what === "opened") void this.showOpened();
      else this.showConnection();
    });
    const timer = setInterval(() => this.tick(), TICK_MS);
    signal.addEventListener("abort", () => {
      clearInterval(timer);
      this.unmount?.();
    }, { once: true });
  }

  mount(el: HTMLElement): void {
    el.append(this.root);
    applyTheme(this.root);
    watchTheme(() => applyTheme(this.root), this.signal);
    this.showConnection();
    this.draw();
    void this.showOpened();
    this.root.dataset.ready = "1";
  }

  private draw(): void {
    const payload = this.host.payload();
    if (!payload) return;
    this.got = performance.now();
    this.showHead(payload);
    this.showAlerts(payload);
    this.list.hidden = !payload.rows.length;
    if (payload.rows.length) this.notice.clear();
    else this.notice.wait("Nothing has run yet", "Engagements are listed here as soon as they begin.");
    this.showRows(payload.rows);
  }

  private showHead({ rows, store, n_more, following }: MonitorPayload): void {
    const of = (...statuses: string[]) => rows.filter((row) => statuses.includes(row.status)).length;
    const chip = (status: string, n: number, word: string) => {
      const look = statusLook(status);
      const own = h("span", { class: "ftnb-chip" }, icon(look.path), `${count(n)} ${word}`);
      own.style.setProperty("--c", n ? `var(${look.color})` : "var(--ftnb-muted)");
      return own;
    };
    const parts: Child[] = [
      h("span", { class: "ftnb-name", text: "Monitor" }),
      chip("active", of("active"), "running"),
      chip("paused", of("paused"), "paused"),
      h("span", { class: "ftnb-facts" }, `${plural(rows.length - of("active", "paused") + n_more, "engagement")} ended`),
      h("span", { class: "ftnb-spacer" }),
    ];
    if (following?.dropped) parts.push(this.badge(`recorder dropped ${count(following.dropped)}`, following.detail));
    if (following && following.stalled_s >= 2) parts.push(this.badge(`store stalled ${Math.round(following.stalled_s)} s`, "The writer waits for the store: it is locked, full or gone."));
    parts.push(h("small", { class: "ftnb-store", text: store, title: store }));
    this.head.replaceChildren(...parts.filter((one): one is Node | string => Boolean(one)));
  }

  private badge(text: string, title: string): HTMLElement {
    const own = h("span", { class: "ftnb-chip", title }, icon(ICON_WARNING), text);
    own.style.setProperty("--c", "var(--ftnb-failed)");
    return own;
  }

  private showAlerts({ alerts, alarms }: MonitorPayload): void {
    const key = JSON.stringify([alerts, alarms]);
    if (this.drawn.get("alerts") === key) return;
    this.drawn.set("alerts", key);
    this.alerts.hidden = !alerts.length && !alarms.length;
    const chips = alerts.map((alert) => {
      const own = h("span", { class: "ftnb-chip", title: alert.error ? `Its callback raised ${alert.error}` : alert.condition }, icon(ICON_BELL), alert.name, h("b", { text: ` ${count(alert.n)}` }));
      own.style.setProperty("--c", alert.n ? "var(--ftnb-failed)" : "var(--ftnb-muted)");
      if (alert.error) own.append(icon(ICON_WARNING));
      own.append(button(icon(ICON_CLOSE), () => this.host.removeAlert(alert.key), { title: "Watch it no longer", attrs: { "aria-label": `Remove the alert ${alert.name}` } }));
      return own;
    });
    const list = h("ol", { class: "ftnb-alarms", attrs: { "aria-label": "Alarms, newest first" } }, ...alarms.toReversed().map((alarm) => this.alarmItem(alarm)));
    this.alerts.replaceChildren(h("div", { class: "ftnb-tags" }, ...chips), list);
    const newest = alarms.at(-1);
    if (newest && newest.at !== this.lastAlarm) {
      if (this.lastAlarm !== null) this.aloud.textContent = `Alarm: ${newest.text}`;
      this.lastAlarm = newest.at;
    }
  }

  private alarmItem(alarm: AlarmRow): HTMLElement {
    const when = new Date(alarm.at);
    const own = button(null, () => this.open(alarm.engagement, alarm.step), { title: "Open the run" });
    own.append(icon(ICON_BELL), h("span", { class: "name", text: alarm.text }), h("small", { text: when.toLocaleTimeString() }));
    return h("li", {}, own);
  }

  /** One row an engagement; a row that is as it was is left alone, so that focus and hover stay. */
  private showRows(rows: readonly ActivityRow[]): void {
    const ids = new Set(rows.map((row) => row.id));
    for (const [id, row] of this.rows) {
      if (ids.has(id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    let before: Element | null = null;
    for (const row of rows) {
      const element: HTMLTableRowElement = this.rows.get(row.id) ?? this.newRow(row.id);
      this.fill(element, row);
      const place: Element | null = before ? before.nextElementSibling : this.body.firstElementChild;
      if (place !== element) this.body.insertBefore(element, place);
      before = element;
    }
  }

  private newRow(id: string): HTMLTableRowElement {
    const row = h("tr");
    row.addEventListener("click", () => this.open(id, null));
    this.rows.set(id, row);
    return row;
  }

  private fill(element: HTMLTableRowElement, row: ActivityRow): void {
    const key = JSON.stringify([row, this.openId === row.id, this.asked === row.id]);
    if (this.drawn.get(row.id) === key && element.childNodes.length) return;
    this.drawn.set(row.id, key);
    const look = statusLook(row.status);
    const chip = h("span", { class: "ftnb-chip", title: look.word }, icon(look.path), h("span", { text: look.word }));
    chip.style.setProperty("--c", `var(${look.color})`);
    const root = this.root.getRootNode() as Document | ShadowRoot;
    const hadFocus = element.contains(root.activeElement);
    const name = button(row.name, () => {}, { class: "ftnb-link", title: `${row.name}\n${row.id}`, attrs: { "aria-label": describe(row), "aria-expanded": String(this.openId === row.id) } });
    const now = row.running.length ? row.running.join(", ") : row.last_step;
    const cell = (className: string, ...children: Child[]) => h("td", { class: className }, ...children);
    element.replaceChildren(
      cell("", chip),
      cell("name", name, row.turns > 1 && h("small", { text: ` turn ${row.turns}` }), this.asked === row.id && h("small", { text: " opens when the kernel is free …" })),
      cell("now", h("span", { text: now, title: row.running.length ? "runs now" : "ran last" })),
      cell("n time", duration(row.duration_ms)),
      cell("n", count(row.steps)),
      cell("n", count(row.tokens)),
      cell("n", row.tokens_per_s ? row.tokens_per_s.toFixed(row.tokens_per_s < 10 ? 1 : 0) : "–"),
      cell(row.errors ? "n bad" : "n", row.errors ? count(row.errors) : "–", row.dropped ? icon(ICON_WARNING) : null),
      cell("spark", sparkline(row.spark)),
    );
    element.dataset.status = row.status;
    element.classList.toggle("open", this.openId === row.id);
    if (hadFocus) element.querySelector("button")?.focus({ preventScroll: true });
  }

  /** Between two messages, time goes on for what runs. */
  private tick(): void {
    const rows = this.host.payload()?.rows ?? [];
    if (!this.host.connected()) return;
    const passed = performance.now() - this.got;
    for (const row of rows) {
      if (row.status !== "active") continue;
      const cell = this.rows.get(row.id)?.querySelector(".time");
      if (cell) cell.textContent = duration(row.duration_ms + passed);
    }
  }

  private open(id: string, step: string | null): void {
    const closes = id === this.openId && step === null;
    this.asked = closes || id === this.openId ? null : id;
    this.host.open(closes ? null : id, step);
    this.draw();
  }

  private async showOpened(): Promise<void> {
    const model = await this.host.opened();
    this.unmount?.();
    this.unmount = null;
    this.asked = null;
    this.detail.hidden = model === null;
    this.openId = null;
    if (model) {
      const place = h("div");
      const close = button("Close", () => this.host.open(null, null), { class: "ftnb-button" });
      this.detail.replaceChildren(h("div", { class: "ftnb-opened-head" }, close), place);
      this.unmount = this.mountRun(model, place);
      this.openId = ((model.get("_payload") as { engagement?: { id: string } } | null)?.engagement?.id) ?? null;
    } else this.detail.replaceChildren();
    this.draw();
  }

  private showConnection(): void {
    const gone = !this.host.connected();
    this.root.dataset.connected = gone ? "0" : "1";
    this.notice.unplug(gone);
  }

  private onKey(event: KeyboardEvent): void {
    if (this.detail.contains(event.target as Node)) return;
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const buttons = [...this.body.querySelectorAll<HTMLElement>("td.name button")];
    const at = buttons.indexOf(event.target as HTMLElement);
    buttons[at + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
    event.preventDefault();
    event.stopPropagation();
  }
}

/** One line about an engagement, for screen readers. */
function describe(row: ActivityRow): string {
  const parts = [row.name, statusLook(row.status).word, duration(row.duration_ms), plural(row.steps, "step"), plural(row.tokens, "token")];
  if (row.errors) parts.push(plural(row.errors, "error"));
  return parts.join(", ");
}
