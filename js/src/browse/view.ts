// Many engagements on the page: choose, sort, turn pages, open one. Or what a search found in them.

import { button, type Child, h, icon } from "../dom";
import { count, duration, plural } from "../format";
import type { AnyModel } from "../host";
import { sparkline } from "../monitor/spark";
import type { MountRun } from "../monitor/view";
import type { BrowseQuery, BrowserPayload, BrowseRow, Facet, HitRow, Within } from "../protocol.gen";
import { Notice } from "../states";
import { auditBadge } from "../audit";
import { ICON_CLOSE, statusLook } from "../status";
import css from "../styles.css";
import { applyTheme, watchTheme } from "../theme";
import browseCss from "./browse.css";
import type { BrowseHost } from "./host";
import { COLUMNS, isAsked, metadataLine, moment, share, sorted, toggled } from "./query";

const TYPING_MS = 250;
const WITHIN: ReadonlyArray<{ value: Within; text: string; hint: string }> = [
  { value: "about", text: "engagements", hint: "name, id, metadata, error" },
  { value: "values", text: "recorded values", hint: "a text, then Enter" },
];

export class BrowserApp {
  readonly root = h("div", { class: "ftnb ftnb-browser", attrs: { role: "group", "aria-label": "Engagements" } });
  private readonly head = h("div", { class: "ftnb-head" });
  private readonly summary = h("span", { class: "ftnb-facts" });
  private readonly clear = button("Show all", () => this.ask({ text: "", within: "about", picked: [], page: 0 }), { class: "ftnb-button" });
  private readonly search = h("input", { attrs: { type: "search", "aria-label": "Find engagements", spellcheck: "false" } });
  private readonly within = h("select", { class: "ftnb-select", title: "Where to look", attrs: { "aria-label": "Where to look" } });
  private readonly notice = new Notice();
  private readonly facets = h("div", { class: "ftnb-facets", attrs: { role: "group", "aria-label": "Choose by" } });
  private readonly list = h("div", { class: "ftnb-list", attrs: { tabindex: 0, role: "region", "aria-label": "List" } });
  private readonly pages = h("div", { class: "ftnb-pages", attrs: { role: "group", "aria-label": "Pages" } });
  private readonly detail = h("div", { class: "ftnb-opened", attrs: { hidden: true } });
  private readonly aloud = h("div", { class: "ftnb-aloud", attrs: { "aria-live": "polite" } });
  private timer = 0;
  private openId: string | null = null;
  private asked: string | null = null;
  private unmount: (() => void) | null = null;
  /** The key of the control that is to have the focus again after drawing. */
  private focusKey: string | null = null;

  constructor(private readonly host: BrowseHost, private readonly mountRun: MountRun, private readonly signal: AbortSignal) {
    const content = h("div", { class: "ftnb-browse" }, this.facets, h("div", { class: "ftnb-found" }, this.list, this.pages));
    this.root.append(h("style", { text: css + browseCss }), this.head, this.notice.element, content, this.detail, this.aloud);
    this.within.append(...WITHIN.map(({ value, text }) => h("option", { text, attrs: { value } })));
    this.search.addEventListener("input", () => {
      clearTimeout(this.timer);
      // Everything that was recorded is read once, when the text is whole.
      if (this.host.payload().query.within === "values") return;
      this.timer = setTimeout(() => this.ask({ text: this.search.value, page: 0 }), TYPING_MS) as unknown as number;
    });
    this.search.addEventListener("change", () => {
      if (this.search.value !== this.host.payload().query.text) this.ask({ text: this.search.value, page: 0 });
    });
    this.within.addEventListener("change", () => {
      const within = WITHIN.find((one) => one.value === this.within.value)?.value ?? "about";
      this.ask({ within, text: this.search.value, page: 0 });
      this.search.focus();
    });
    this.root.addEventListener("keydown", (event) => this.onKey(event), { signal });
    this.root.addEventListener("keydown", () => (this.root.dataset.input = "key"), { signal, capture: true });
    this.root.addEventListener("pointerdown", () => (this.root.dataset.input = "pointer"), { signal, capture: true });
    host.onChange((what, text) => {
      if (what === "page") this.draw();
      else if (what === "opened") void this.showOpened();
      else if (what === "refused") this.refuse(text ?? "");
      else this.showConnection();
    });
    signal.addEventListener("abort", () => {
      clearTimeout(this.timer);
      this.unmount?.();
    }, { once: true });
  }

  mount(el: HTMLElement): void {
    const { title, searches } = this.host.payload();
    const what = searches ? "Engagements" : `Found: ${title}`;
    this.root.setAttribute("aria-label", what);
    this.search.hidden = this.within.hidden = !searches;
    this.head.append(h("span", { class: "ftnb-name", text: what, title }), this.summary, h("span", { class: "ftnb-spacer" }), this.clear, this.within, this.search);
    el.append(this.root);
    applyTheme(this.root);
    watchTheme(() => applyTheme(this.root), this.signal);
    this.search.value = this.host.payload().query.text;
    this.showConnection();
    this.draw();
    void this.showOpened();
    this.root.dataset.ready = "1";
  }

  private ask(fields: Partial<BrowseQuery>): void {
    this.host.browse({ ...this.host.payload().query, ...fields });
    if (fields.text !== undefined && fields.text !== this.search.value) this.search.value = fields.text;
  }

  private draw(): void {
    const payload = this.host.payload();
    const { hits, rows, n, n_found, note, query } = payload;
    this.within.value = query.within;
    this.search.placeholder = WITHIN.find((one) => one.value === query.within)?.hint ?? "";
    const focused = this.focusKey ?? this.keyOf(document.activeElement, this.root);
    this.focusKey = null;
    const all = hits ? `in ${plural(n, "engagement")}` : n_found === n ? plural(n, "engagement") : `of ${plural(n, "engagement")}`;
    this.summary.replaceChildren(...(hits ? [h("span", {}, h("b", { text: count(n_found) }), ` ${n_found === 1 ? "value" : "values"} ${all}`)] : [h("span", {}, n_found !== n && h("b", { text: `${count(n_found)} ` }), all)]), note && h("span", { class: "ftnb-note", text: note }));
    this.clear.hidden = !isAsked(payload.query);
    this.facets.hidden = !payload.facets.length;
    this.facets.replaceChildren(...payload.facets.map((facet) => this.facet(facet)));
    const isEmpty = !(hits ?? rows).length;
    this.list.hidden = isEmpty;
    if (!isEmpty) this.notice.clear();
    else if (hits && note) this.notice.wait("Searching", note);
    else if (hits) this.notice.wait("Nothing was found", "No recorded value holds this text. Upper and lower case are the same.");
    else if (n) this.notice.wait("No engagement is like that", "Choose less, or search for something else.");
    else this.notice.wait("No engagement yet", "Run the agent while it is recorded, then show this again.");
    this.notice.element.classList.add("ftnb-still");
    if (!isEmpty) this.list.replaceChildren(hits ? this.hitList(hits) : this.table(payload));
    this.showPages(payload);
    if (focused) this.root.querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  /** The key of a control of ours that has the focus. */
  private keyOf(active: Element | null, within: Element): string | null {
    const inner = within.getRootNode() instanceof ShadowRoot ? (within.getRootNode() as ShadowRoot).activeElement : active;
    return inner instanceof HTMLElement && within.contains(inner) ? (inner.dataset.key ?? null) : null;
  }

  private facet(facet: Facet): HTMLElement {
    const most = Math.max(...facet.values.map((one) => one.n), 1);
    const values = facet.values.map(({ value, n, picked }) => {
      const look = facet.field === "status" ? statusLook(value) : null;
      const own = button(null, () => {
        this.host.browse(toggled(this.host.payload().query, facet.field, value));
      }, { title: value, attrs: { "aria-pressed": String(picked), "data-key": `${facet.field}\n${value}` } });
      own.style.setProperty("--share", `${Math.round((100 * n) / most)}%`);
      if (look) own.style.setProperty("--c", `var(${look.color})`);
      own.append(...(look ? [icon(look.path)] : []), h("span", { class: "name", text: value || "(empty)" }), h("small", { text: count(n) }));
      return h("li", {}, own);
    });
    const more = facet.n_more > 0 && h("li", {}, h("small", { text: `and ${plural(facet.n_more, "rarer value")}` }));
    return h("div", { class: "ftnb-facet" }, h("b", { text: facet.label, title: facet.label }), h("ul", {}, ...values, more));
  }

  private table({ rows, query, spreads }: BrowserPayload): HTMLElement {
    const header = COLUMNS.map((column) => {
      const isSorted = query.sort === column.field;
      const spread = spreads.find((one) => one.field === column.field);
      const title = button(column.title, () => this.host.browse(sorted(query, column)), { title: `Sort by ${column.title}`, attrs: { "data-key": `sort ${column.field}` } });
      title.append(h("i", { text: isSorted ? (query.descending ? " ↓" : " ↑") : "", attrs: { "aria-hidden": true } }));
      const cell = h("th", { class: column.field, attrs: { scope: "col", "aria-sort": isSorted ? (query.descending ? "descending" : "ascending") : "none" } }, title);
      if (spread) {
        const write = column.field === "duration_ms" ? duration : count;
        const chart = sparkline(spread.counts);
        const text = `${column.title} from ${write(spread.low)} to ${write(spread.high)}`;
        chart.setAttribute("aria-label", text);
        cell.append(h("span", { class: "ftnb-spread", title: `${text}; how many engagements, on a scale of logarithms` }, chart));
      }
      return cell;
    });
    const bar = (field: string, value: number | null) => {
      const own = h("i", { class: "bar", attrs: { "aria-hidden": true } });
      own.style.width = `${(100 * share(spreads.find((one) => one.field === field), value)).toFixed(1)}%`;
      return own;
    };
    return h("table", { attrs: { "aria-label": "Engagements" } }, h("thead", {}, h("tr", {}, ...header)), h("tbody", {}, ...rows.map((row) => this.row(row, bar))));
  }

  private row(row: BrowseRow, bar: (field: string, value: number | null) => HTMLElement): HTMLElement {
    const number = (field: string, value: number | null, text: string) => h("td", { class: `n ${field}` }, h("span", { text }), bar(field, value));
    const name = button(row.name, () => {}, { class: "ftnb-link", title: `${row.name}\n${row.id}`, attrs: { "aria-expanded": String(this.openId === row.id), "data-key": `row ${row.id}` } });
    const own = h(
      "tr", { class: this.openId === row.id ? "open" : "", attrs: { "data-status": row.status } },
      h("td", {}, chip(row.status)),
      h("td", { class: "name" }, name, auditBadge(row.audit), row.parent_id !== null && h("small", { class: "ftnb-tag", text: "branch", title: `forked from ${row.parent_id}` }),
        row.n_turns > 1 && h("small", { text: ` ${row.n_turns} turns` }), h("small", { class: "meta", text: this.asked === row.id ? "opens when the kernel is free …" : metadataLine(row), title: metadataLine(row) })),
      h("td", { class: "started_at", text: moment(row.started_at) }),
      number("duration_ms", row.duration_ms, row.duration_ms === null ? "–" : duration(row.duration_ms)),
      number("n_steps", row.n_steps, count(row.n_steps)),
      number("total_tokens", row.total_tokens, count(row.total_tokens)),
      h("td", { class: row.n_errors ? "n bad" : "n", text: row.n_errors ? count(row.n_errors) : "–", title: row.error ?? "" }),
      h("td", { class: "dropped", text: row.dropped_at ?? "", title: row.error ?? "" }),
    );
    own.addEventListener("click", () => this.open(row.id, null));
    return own;
  }

  private hitList(hits: readonly HitRow[]): HTMLElement {
    const items: HTMLElement[] = [];
    let last: string | null = null;
    for (const hit of hits) {
      if (hit.engagement !== last) {
        const title = h("div", { class: "ftnb-hit-head" }, hit.status ? chip(hit.status) : null, h("b", { text: hit.engagement_name || "engagement" }), h("small", { text: hit.engagement }));
        items.push(h("li", { class: hit.engagement === this.openId ? "open" : "" }, title));
        last = hit.engagement;
      }
      const own = button(null, () => this.open(hit.engagement, hit.step), { title: hit.path, attrs: { "data-key": `hit ${hit.engagement} ${hit.step} ${hit.where} ${hit.path}` } });
      own.append(h("span", { class: "step", text: hit.step_name ?? "whole run" }), h("span", { class: "ftnb-tag", text: hit.where.replace("_", " ") }), h("span", { class: "text" }, hit.before, h("mark", { text: hit.match }), hit.after));
      items.push(h("li", {}, own));
    }
    return h("ul", { class: "ftnb-hits", attrs: { "aria-label": "Values found" } }, ...items);
  }

  private showPages({ query, n_found, page_size }: BrowserPayload): void {
    const last = Math.max(Math.ceil(n_found / page_size) - 1, 0);
    this.pages.hidden = last === 0;
    const to = (page: number, label: string, name: string) => {
      const own = button(label, () => this.ask({ page }), { class: "ftnb-button", attrs: { "aria-label": name, "data-key": `page ${name}` } });
      own.disabled = page < 0 || page > last || page === query.page;
      return own;
    };
    const [from, until] = [query.page * page_size + 1, Math.min((query.page + 1) * page_size, n_found)];
    this.pages.replaceChildren(
      to(0, "«", "First page"), to(query.page - 1, "‹", "Page before"),
      h("span", { text: `${count(from)} – ${count(until)} of ${count(n_found)}` }),
      to(query.page + 1, "›", "Next page"), to(last, "»", "Last page"),
    );
  }

  private open(id: string, step: string | null): void {
    const closes = id === this.openId && step === null && this.host.payload().hits === null;
    this.asked = closes || id === this.openId ? null : id;
    this.host.open(closes ? null : id, step);
    this.draw();
  }

  private async showOpened(): Promise<void> {
    const model: AnyModel | null = await this.host.opened();
    this.unmount?.();
    this.unmount = null;
    this.asked = null;
    this.openId = null;
    this.detail.hidden = model === null;
    if (model) {
      const place = h("div");
      const close = button(icon(ICON_CLOSE), () => this.host.open(null, null), { class: "ftnb-button" });
      close.append("Close");
      this.detail.replaceChildren(h("div", { class: "ftnb-opened-head" }, close), place);
      this.unmount = this.mountRun(model, place);
      const run = (model.get("_payload") as { engagement?: { id: string; name: string } } | null)?.engagement;
      this.openId = run?.id ?? null;
      this.say(`${run?.name ?? "The run"} is open below the list`);
    } else this.detail.replaceChildren();
    this.draw();
  }

  private refuse(text: string): void {
    this.asked = null;
    this.draw();
    this.say(text);
  }

  private say(text: string): void {
    this.aloud.textContent = text;
  }

  private showConnection(): void {
    const gone = !this.host.connected();
    this.root.dataset.connected = gone ? "0" : "1";
    this.notice.unplug(gone);
  }

  private onKey(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (this.detail.contains(target) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (target === this.search) {
      // Jupyter's command mode would act on what is typed.
      event.stopPropagation();
      if (event.key === "ArrowDown" || event.key === "Escape") this.move(null, 1);
      return;
    }
    const { query, n_found, page_size } = this.host.payload();
    if (event.key === "ArrowDown" || event.key === "ArrowUp") this.move(target, event.key === "ArrowDown" ? 1 : -1);
    else if (event.key === "PageDown" && (query.page + 1) * page_size < n_found) this.ask({ page: query.page + 1 });
    else if (event.key === "PageUp" && query.page > 0) this.ask({ page: query.page - 1 });
    else if (event.key === "/" && !this.search.hidden) this.search.focus();
    else if (event.key === "Escape" && this.openId !== null) this.host.open(null, null);
    else if (event.key !== "Enter" && event.key !== " ") return;
    event.stopPropagation();
    if (event.key !== "Enter" && event.key !== " ") event.preventDefault();
  }

  /** Focus the next of the rows, or of the values to choose by. */
  private move(from: HTMLElement | null, by: number): void {
    const among = [...(from?.closest(".ftnb-facets") ?? this.list).querySelectorAll<HTMLElement>("td.name button, li > button")];
    const at = from === null ? -1 : among.indexOf(from);
    among[Math.max(at + by, 0)]?.focus();
  }
}

function chip(status: string): HTMLElement {
  const look = statusLook(status);
  const own = h("span", { class: "ftnb-chip", title: look.word }, icon(look.path), h("span", { text: look.word }) as Child);
  own.style.setProperty("--c", `var(${look.color})`);
  return own;
}
