// What a step changed: the state before it against what it returned, or what the next step saw. Pure.

import { isObject, markerOf } from "./markers";

/** `merge`: lists of which the second does not continue the first; how they are joined is the reducer's matter. */
export type Op = "add" | "remove" | "replace" | "append" | "merge" | "same";

export interface Difference {
  /** JSON Pointer. */
  path: string;
  op: Op;
  before?: unknown;
  after?: unknown;
}

const DEEP = 12;
/** More than this many differences inside one value are told as one. */
const MANY = 60;

/** Differences of two values, key by key. With `partial`, keys that `after` lacks are left alone: it is an update. */
export function differences(before: unknown, after: unknown, partial: boolean): Difference[] {
  if (!isPlain(after)) return same(before, after) ? [] : [{ path: "", op: before === undefined ? "add" : "replace", before, after }];
  const known = isPlain(before) ? before : {};
  const found: Difference[] = [];
  for (const [key, value] of Object.entries(after)) {
    const path = `/${escape(key)}`;
    if (!Object.hasOwn(known, key)) found.push({ path, op: "add", after: value });
    else found.push(...within(path, known[key], value, 1));
  }
  if (!partial) {
    for (const key of Object.keys(known)) {
      if (!Object.hasOwn(after, key)) found.push({ path: `/${escape(key)}`, op: "remove", before: known[key] });
    }
  }
  return found;
}

function within(path: string, before: unknown, after: unknown, depth: number): Difference[] {
  if (same(before, after)) return [{ path, op: "same", before, after }];
  if (Array.isArray(before) && Array.isArray(after)) return inList(path, before, after, depth);
  if (!isPlain(before) || !isPlain(after) || depth > DEEP) return [{ path, op: "replace", before, after }];
  const found: Difference[] = [];
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const at = `${path}/${escape(key)}`;
    if (!Object.hasOwn(before, key)) found.push({ path: at, op: "add", after: after[key] });
    else if (!Object.hasOwn(after, key)) found.push({ path: at, op: "remove", before: before[key] });
    else found.push(...within(at, before[key], after[key], depth + 1).filter((one) => one.op !== "same"));
  }
  return found.length > MANY ? [{ path, op: "replace", before, after }] : found;
}

function inList(path: string, before: unknown[], after: unknown[], depth: number): Difference[] {
  const shared = before.findIndex((item, i) => i >= after.length || !same(item, after[i]));
  if (shared < 0) return [{ path: `${path}/-`, op: "append", before, after: after.slice(before.length) }];
  if (before.length !== after.length) return [{ path, op: "merge", before, after }];
  const found = before.flatMap((item, i) => within(`${path}/${i}`, item, after[i], depth + 1).filter((one) => one.op !== "same"));
  return found.length > MANY ? [{ path, op: "replace", before, after }] : found;
}

/** RFC 6902 operations for `found`; lists whose joining is not known are replaced. */
export function jsonPatch(found: readonly Difference[]): unknown[] {
  return found.flatMap((one): unknown[] => {
    if (one.op === "same") return [];
    if (one.op === "remove") return [{ op: "remove", path: one.path }];
    if (one.op === "append") return (one.after as unknown[]).map((value) => ({ op: "add", path: one.path, value }));
    return [{ op: one.op === "add" ? "add" : "replace", path: one.path, value: one.after }];
  });
}

/** Whether two JSON values are equal; the order of keys does not count. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => same(item, b[i]));
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return isObject(value) && markerOf(value) === null;
}

function escape(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}
