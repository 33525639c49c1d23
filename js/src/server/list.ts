// The list of engagements: what runs now on top, then the newest page by page, by text, status and name.

import { button, type Child, h, icon } from "../dom";
import { count, duration, plural } from "../format";
import { Notice } from "../states";
import { ICON_WARNING, statusLook } from "../status";
import { hashOf } from "./route";
import { addressOf } from "./socket";

interface Summary {
  id: string;
  name: string;
  status: string;
  started_at: string;
  ended_at: string | null;
  step_count: number;
  total_tokens: number;
  dropped_at: string | null;
  metadata: Record<string, unknown>;
}

/** What runs, waits or has just ended. */
export interface Row {
  id: string;
  name: string;
  status: string;
  started_at: string;
  duration_ms: number;
  steps: number;
  running: string[];
  last_step: string;
  tokens: number;
  errors: number;
  dropped: number;
}

const PAGE = 50;
const TYPING_MS = 250;
const STATUSES = ["active", "paused", "completed", "failed", "abandoned"];

export class ListView {
  readonly element = h("section", { class: "ftnb-server-list", attrs: { "aria-label": "Engagements" } });
  private readonly live = h("tbody");
  private readonly body = h("tbody");
  private readonly notice = new Notice();
  private readonly note = h("p", { class: "ftnb-server-note", attrs: { role: "status" } });
  private readonly text = h("input", { attrs: { type: "search", placeholder: "Search id, name, metadata …", "aria-label": "Search" } });
  private readonly status = h("select", { attrs: { "aria-label": "Status" } }, h("option", { text: "any status", attrs: { value: "" } }), ...STATUSES.map((one) => h("option", { text: statusLook(one).word, attrs: { value: one } })));
  private readonly back = button("Newer", () => this.turn(-1), { class: "ftnb-button" });
  private readonly onward = button("Older", () => this.turn(1), { class: "ftnb-button" });
  private readonly where = h("span", { class: "ftnb-server-where" });
  private readonly table: HTMLElement;
  private readonly pages: HTMLElement;
  private rows = new Map<string, Row & { got: number }>();
  private shown: Summary[] = [];
  private offset = 0;
  private hasMore = false;
  private asked = 0;
  private typing: ReturnType<typeof setTimeout> | undefined;
  private loaded = false;

  constructor(private readonly onProblem: (status: number) => void) {
    const titles = ["", "engagement", "about", "began", "took", "steps", "tokens"];
    const header = h("tr", {}, ...titles.map((title) => h("th", { text: title, attrs: { scope: "col" } })));
    this.table = h("div", { class: "ftnb-list" }, h("table", { attrs: { "aria-label": "Engagements, newest first" } }, h("thead", {}, header), this.live, this.body));
    this.pages = h("nav", { class: "ftnb-server-pages", attrs: { "aria-label": "Pages" } }, this.back, this.where, this.onward);
    this.element.append(h("div", { class: "ftnb-server-filters" }, this.text, this.status), this.note, this.notice.element, this.table, this.pages);
    this.text.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.first(), TYPING_MS);
    });
    this.status.addEventListener("change", () => this.first());
    setInterval(() => this.tick(), 1_000);
  }

  get isFiltered(): boolean {
    return this.text.value.trim() !== "" || this.status.value !== "";
  }

  /** Ask for the page again, as it is. */
  async load(): Promise<void> {
    const asked = ++this.asked;
    const query = new URLSearchParams({ newest: "true", limit: String(PAGE) });
    if (this.offset) query.set("offset", String(this.offset));
    if (this.text.value.trim()) query.set("q", this.text.value.trim());
    if (this.status.value) query.set("status", this.status.value);
    try {
      const response = await fetch(addressOf(`api/engagements?${query}`), { credentials: "same-origin" });
      if (asked !== this.asked) return;
      if (!response.ok) {
        this.onProblem(response.status);
        const said = (await response.json().catch(() => null)) as { detail?: unknown } | null;
        throw new Error(typeof said?.detail === "string" ? said.detail : `the server answered ${response.status}`);
      }
      this.shown = (await response.json()) as Summary[];
      this.hasMore = response.headers.has("link");
      this.loaded = true;
      this.note.textContent = "";
    } catch (error) {
      if (asked === this.asked) this.note.textContent = `The list could not be loaded: ${error instanceof Error ? error.message : String(error)}.`;
    }
    this.draw();
  }

  /** News of what runs. */
  take(rows: readonly Row[], isWhole: boolean): void {
    if (isWhole) this.rows.clear();
    const known = new Set(this.shown.map((one) => one.id));
    let isNew = false;
    for (const row of rows) {
      const before = this.rows.get(row.id);
      isNew ||= !isWhole && (isOver(row) ? before === undefined || !isOver(before) : before === undefined) && (isOver(row) || !known.has(row.id));
      this.rows.set(row.id, { ...row, got: performance.now() });
    }
    // What has just ended takes its place in the first page; elsewhere, pages stay as they are while they are read.
    if (isNew && this.loaded && this.offset === 0) void this.load();
    else this.draw();
  }

  private first(): void {
    this.offset = 0;
    void this.load();
  }

  private turn(by: 1 | -1): void {
    this.offset = Math.max(this.offset + by * PAGE, 0);
    void this.load().then(() => this.element.scrollIntoView({ block: "start" }));
  }

  private draw(): void {
    if (!this.loaded) return;
    const top = this.isFiltered || this.offset ? [] : [...this.rows.values()].filter((row) => !isOver(row));
    const onTop = new Set(top.map((row) => row.id));
    const focused = (document.activeElement as HTMLElement | null)?.closest("tr")?.dataset.id;
    this.live.replaceChildren(...top.map((row) => this.liveRow(row)));
    this.body.replaceChildren(...this.shown.filter((one) => !onTop.has(one.id)).map((one) => this.row(one)));
    if (focused) this.table.querySelector<HTMLElement>(`tr[data-id="${CSS.escape(focused)}"] a`)?.focus({ preventScroll: true });
    const n = this.shown.length + top.length;
    this.table.hidden = n === 0;
    if (n) this.notice.clear();
    else if (this.isFiltered) this.notice.wait("Nothing fits", "No engagement has this text and status.");
    else this.notice.wait("No engagement yet", "Engagements are listed here as soon as they begin.");
    this.pages.hidden = this.offset === 0 && !this.hasMore;
    this.back.disabled = this.offset === 0;
    this.onward.disabled = !this.hasMore;
    this.where.textContent = this.shown.length ? `${count(this.offset + 1)} – ${count(this.offset + this.shown.length)}` : "";
  }

  private liveRow(row: Row & { got: number }): HTMLTableRowElement {
    const now = row.running.length ? `runs ${row.running.join(", ")}` : row.last_step ? `after ${row.last_step}` : "";
    const warning = row.errors || row.dropped ? h("span", { class: "bad", title: `${plural(row.errors, "error")}, ${plural(row.dropped, "dropped record")}` }, icon(ICON_WARNING)) : null;
    return this.line(row.id, row.name, row.status, [now, warning], row.started_at, this.lasted(row), row.steps, row.tokens);
  }

  private row(one: Summary): HTMLTableRowElement {
    const took = one.ended_at ? duration(Math.max(Date.parse(one.ended_at) - Date.parse(one.started_at), 0)) : "–";
    const metadata = Object.entries(one.metadata).map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ");
    const dropped = one.dropped_at ? `left at ${one.dropped_at}${metadata ? ", " : ""}` : "";
    return this.line(one.id, one.name, one.status, [dropped + metadata], one.started_at, took, one.step_count, one.total_tokens);
  }

  private line(id: string, name: string, status: string, about: Child[], began: string, took: string, steps: number, tokens: number): HTMLTableRowElement {
    const look = statusLook(status);
    const chip = h("span", { class: "ftnb-chip", title: look.word }, icon(look.path), h("span", { text: look.word }));
    chip.style.setProperty("--c", `var(${look.color})`);
    const link = h("a", { class: "ftnb-link", text: name, title: `${name}\n${id}`, attrs: { href: hashOf({ engagement: id, steps: [] }) } });
    const when = new Date(began);
    const title = about.filter((one) => typeof one === "string").join("");
    const row = h("tr", {},
      h("td", {}, chip),
      h("td", { class: "name" }, link),
      h("td", { class: "about", title }, ...about),
      h("td", { class: "n", title: began, text: sameDay(when) ? when.toLocaleTimeString() : when.toLocaleString() }),
      h("td", { class: "n time", text: took }),
      h("td", { class: "n", text: count(steps) }),
      h("td", { class: "n", text: count(tokens) }),
    );
    row.dataset.id = id;
    row.dataset.status = status;
    row.addEventListener("click", (event) => (event.target as Element).closest("a") || link.click());
    return row;
  }

  private lasted(row: Row & { got: number }): string {
    return duration(Math.round(row.duration_ms + (row.status === "active" ? performance.now() - row.got : 0)));
  }

  /** Between two messages, time goes on for what runs. */
  private tick(): void {
    for (const element of this.live.rows) {
      const row = this.rows.get(element.dataset.id ?? "");
      const cell = element.querySelector(".time");
      if (row?.status === "active" && cell) cell.textContent = this.lasted(row);
    }
  }
}

function isOver(row: Row): boolean {
  return row.status !== "active" && row.status !== "paused";
}

function sameDay(when: Date): boolean {
  return when.toDateString() === new Date().toDateString();
}
