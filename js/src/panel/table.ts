// Lists of alike records as tables. Pure but for the building of DOM.

import { button, h } from "../dom";
import { count } from "../format";
import { isObject, markerOf } from "./markers";

const PAGE = 50;
const MAX_COLUMNS = 30;

export interface Table {
  columns: string[];
  rows: Array<Record<string, unknown>>;
  /** Rows there are in all, where that is known to be more. */
  total: number | null;
  title: string;
}

/** The table that `value` is: two or more flat records with the same keys, or the head of a dataframe; else null. */
export function asTable(value: unknown): Table | null {
  if (Array.isArray(value)) return fromRecords(value, null, "");
  if (!isObject(value) || markerOf(value) !== "object" || !isObject(value.data)) return null;
  const { shape, head, dtypes } = value.data;
  if (!Array.isArray(shape) || !Array.isArray(head) || !isObject(dtypes)) return null;
  const [rows, columns] = shape.map(Number);
  const name = String(value.type).split(".").at(-1) ?? "";
  return fromRecords(head, rows ?? null, `${name}, ${count(rows ?? head.length)} × ${count(columns ?? 1)}`, 1);
}

function fromRecords(items: unknown[], total: number | null, title: string, least = 2): Table | null {
  const first = items[0];
  if (items.length < least || !isRecord(first)) return null;
  const columns = Object.keys(first);
  if (!columns.length || columns.length > MAX_COLUMNS) return null;
  const alike = items.every((item) => isRecord(item) && Object.keys(item).length === columns.length && columns.every((key) => Object.hasOwn(item, key)));
  return alike ? { columns, rows: items as Array<Record<string, unknown>>, total, title } : null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return isObject(value) && markerOf(value) === null && Object.values(value).every((cell) => typeof cell !== "object" || cell === null || markerOf(cell) !== null);
}

/** `cell` draws one value. */
export function tableElement(table: Table, cell: (value: unknown) => Node): HTMLElement {
  const body = h("tbody");
  const head = h("tr", {}, ...table.columns.map((name) => h("th", { text: name, attrs: { scope: "col" } })));
  const box = h("div", { class: "ftnb-table", attrs: { tabindex: 0, role: "region", "aria-label": table.title || "Table" } }, h("table", {}, h("thead", {}, head), body));
  const add = (from: number) => {
    for (const row of table.rows.slice(from, from + PAGE)) body.append(h("tr", {}, ...table.columns.map((name) => h("td", {}, cell(row[name])))));
    const left = table.rows.length - from - PAGE;
    if (left <= 0) return;
    const more = button(`Show more rows (${count(left)} left)`, () => {
      more.remove();
      add(from + PAGE);
    }, { class: "ftnb-link" });
    box.append(more);
  };
  add(0);
  const missing = (table.total ?? 0) - table.rows.length;
  if (table.title) box.prepend(h("div", { class: "ftnb-note", text: table.title + (missing > 0 ? `; the first ${count(table.rows.length)} rows were recorded` : "") }));
  return box;
}
