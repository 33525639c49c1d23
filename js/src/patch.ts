// Bringing a payload up to date in place, as the run goes on. Pure.

import type { Change, EngagementPayload } from "./protocol.gen";

/** Apply `changes`, after which the payload has `seq` patches in it. A path that leads nowhere is an error: RangeError. */
export function applyPatch(payload: EngagementPayload, changes: readonly Change[], seq: number): void {
  for (const { path, value, n } of changes) {
    let at: unknown = payload;
    for (const key of path.slice(0, -1)) at = part(at, key);
    const last = path.at(-1) ?? "";
    if (n === null) put(at, last, value);
    else (part(at, last) as unknown[]).length = n;
  }
  payload.seq = seq;
}

function part(at: unknown, key: string | number): unknown {
  // Own keys only: a path must not lead out of the payload, to a prototype.
  if (typeof at === "object" && at !== null && Object.hasOwn(at, key)) return (at as Record<string, unknown>)[key];
  throw new RangeError(`no ${String(key)} in the payload`);
}

function put(at: unknown, key: string | number, value: unknown): void {
  const fits = Array.isArray(at) ? Number(key) <= at.length : typeof at === "object" && at !== null && Object.hasOwn(at, key);
  if (!fits) throw new RangeError(`no place for ${String(key)} in the payload`);
  (at as Record<string, unknown>)[key] = value;
}
