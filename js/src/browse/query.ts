// What is asked of many engagements, and how it changes. Pure.

import type { BrowseQuery, BrowseRow, Spread } from "../protocol.gen";

export interface ColumnLook {
  /** The field to sort by. */
  field: string;
  title: string;
  /** Numbers begin with the most. */
  isNumber: boolean;
}

export const COLUMNS: readonly ColumnLook[] = [
  { field: "status", title: "status", isNumber: false },
  { field: "name", title: "engagement", isNumber: false },
  { field: "started_at", title: "started", isNumber: true },
  { field: "duration_ms", title: "took", isNumber: true },
  { field: "n_steps", title: "steps", isNumber: true },
  { field: "total_tokens", title: "tokens", isNumber: true },
  { field: "n_errors", title: "errors", isNumber: true },
  { field: "dropped_at", title: "dropped at", isNumber: false },
];

/** Sort by `field`; the other way round when that is how it is sorted. */
export function sorted(query: BrowseQuery, { field, isNumber }: ColumnLook): BrowseQuery {
  return { ...query, sort: field, descending: query.sort === field ? !query.descending : isNumber, page: 0 };
}

/** Choose a value, or let it go; values of one field add up, fields narrow each other. */
export function toggled(query: BrowseQuery, field: string, value: string): BrowseQuery {
  const before = query.picked.find((one) => one.field === field)?.values ?? [];
  const values = before.includes(value) ? before.filter((one) => one !== value) : [...before, value];
  const rest = query.picked.filter((one) => one.field !== field);
  return { ...query, picked: values.length ? [...rest, { field, values }] : rest, page: 0 };
}

export function isAsked(query: BrowseQuery): boolean {
  return query.text !== "" || query.picked.length > 0;
}

/** How long the bar of a number is, 0 … 1; by the root, so that one outlier does not press all else to nothing. */
export function share(spread: Spread | undefined, value: number | null): number {
  if (!spread || value === null || value <= 0) return 0;
  return Math.min(Math.max(Math.sqrt(value / spread.high), 0.03), 1);
}

/** "2026-11-22 14:05" in the reader's own clock. */
export function moment(iso: string): string {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return iso;
  const two = (n: number) => String(n).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** Metadata on one line. */
export function metadataLine(row: Pick<BrowseRow, "metadata">): string {
  return row.metadata.map(([key = "", value = ""]) => `${key} ${value}`).join(" · ");
}
