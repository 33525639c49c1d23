// How far an engagement is proved, as its store says: a word, and what it means.

import { h } from "./dom";
import type { AuditName } from "./protocol.gen";

const SAID: Record<AuditName, string> = {
  sealed: "Every record is under a seal in the store's log; tr.audit.verify() checks it",
  unsealed: "Some records are not under a seal yet and could be changed unseen; tr.audit.seal() seals them",
  gap: "Records are missing from this trace",
  redacted: "Content was taken out, with a receipt in the store's log; what is left is under a seal",
};

/** None for a store that gives no proofs, and for a run that goes on. */
export function auditBadge(state: AuditName | null | undefined): HTMLElement | null {
  const title = state && Object.hasOwn(SAID, state) ? SAID[state] : undefined;
  return state && title ? h("span", { class: "ftnb-tag ftnb-audit", text: state, title, attrs: { "data-audit": state } }) : null;
}
