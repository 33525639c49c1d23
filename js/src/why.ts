// Why a step ran, out of what each step of a saved page says about what led to it. Pure.

import type { CauseRow, WhyDetail } from "./protocol.gen";

const MOST = 200;

/** A page holds what led to each step once; what came before that is found by following it back, nearest first. */
export function wholeWhy(own: WhyDetail, whyOf: (step: string) => WhyDetail | null | undefined): WhyDetail {
  if (own.before.length) return own;
  const before: CauseRow[] = [];
  const seen = new Set(own.causes.map((one) => one.step_id));
  let edge = own.causes;
  for (let depth = 1; edge.length; depth++) {
    const next: CauseRow[] = [];
    for (const { cause_id } of edge) {
      if (cause_id === null || seen.has(cause_id)) continue;
      seen.add(cause_id);
      next.push(...(whyOf(cause_id)?.causes ?? []).map((one) => ({ ...one, depth })));
    }
    before.push(...next);
    edge = next;
  }
  return { ...own, before: before.slice(0, MOST), n_more: Math.max(before.length - MOST, 0) };
}
