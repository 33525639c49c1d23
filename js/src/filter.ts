// Which steps a filter picks out. Pure. ftnb/widget/_filter.py answers the same in Python; both read the payload.

import type { EventDetail, Filter, Mark } from "./protocol.gen";
import type { Run } from "./run";

export const NO_FILTER: Filter = { text: null, name: null, status: null, ns: null, turn: null, kind: null, model: null, tool: null };

export function isEmpty(filter: Filter | null): boolean {
  return filter === null || Object.values(filter).every((asked) => asked === null || asked === "");
}

/** Indexes of the steps that `filter` picks, in order of time; null: it asks nothing. `found` adds to its text. */
export function pick(run: Run, filter: Filter | null, found: readonly string[] | null): number[] | null {
  if (filter === null || isEmpty(filter)) return null;
  const elsewhere = new Set(run.indexes(found ?? []));
  return run.order.filter((step) => fits(run, step, filter, elsewhere));
}

function fits(run: Run, index: number, filter: Filter, elsewhere: ReadonlySet<number>): boolean {
  const step = run.step(index);
  if (filter.name !== null && step.name !== filter.name) return false;
  if (filter.ns !== null && step.ns !== filter.ns) return false;
  if (filter.turn !== null && step.turn !== filter.turn) return false;
  const asksEvents = filter.kind !== null || filter.model !== null || filter.tool !== null;
  if (filter.status !== null && !asksEvents && step.status !== filter.status && !(filter.status === "failed" && step.failing)) return false;
  if (asksEvents && !run.lane(index)?.marks.some((mark) => markFits(mark, eventOf(run, index, mark), filter))) return false;
  return !filter.text || elsewhere.has(index) || textOf(run, index).includes(filter.text.toLowerCase());
}

function eventOf(run: Run, step: number, mark: Mark): EventDetail | undefined {
  return mark.event === null ? undefined : run.payload.details[step]?.events[mark.event];
}

function markFits(mark: Mark, event: EventDetail | undefined, filter: Filter): boolean {
  if (filter.kind !== null && mark.kind !== filter.kind) return false;
  if (filter.tool !== null && !(mark.kind === "tool_call" && mark.name === filter.tool)) return false;
  if (filter.model !== null && !(mark.kind === "llm_call" && (event?.model ?? mark.name) === filter.model)) return false;
  return filter.status === null || (filter.status === "failed") === mark.failed;
}

/** Everything that is here about a step, in lower case. */
function textOf(run: Run, index: number): string {
  const { name, error, ns } = run.step(index);
  const marks = run.lane(index)?.marks.map((mark) => mark.name) ?? [];
  const detail = run.payload.details[index];
  return `${name} ${ns} ${error ?? ""} ${marks.join(" ")} ${detail ? readable(detail) : ""}`.toLowerCase();
}

/** The texts and numbers in a value, without the names of the fields that hold previews. */
function readable(value: unknown): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(readable).join(" ");
  if (typeof value !== "object" || value === null) return String(value);
  return Object.entries(value).map(([key, item]) => `${key} ${readable(item)}`).join(" ");
}

/** "kind tool_call, failed, “refund”": the filter in words. */
export function describeFilter(filter: Filter): string {
  const words = Object.entries(filter).flatMap(([key, asked]) => {
    if (asked === null || asked === "") return [];
    return key === "text" ? [`“${String(asked)}”`] : [`${key} ${String(asked)}`];
  });
  return words.join(", ");
}
