// @vitest-environment jsdom
import { describe, expect, it, vi } from "vitest";
import { auditBadge } from "../src/audit";
import { Head } from "../src/head";
import type { AuditName } from "../src/protocol.gen";
import { Run } from "../src/run";
import { golden } from "./golden";

describe("how far an engagement is proved", () => {
  it("is a word with what it means, and nothing where a store gives no proofs", () => {
    const states: AuditName[] = ["sealed", "unsealed", "gap", "redacted"];
    expect(states.map((state) => auditBadge(state)?.textContent)).toEqual(states);
    for (const state of states) expect(auditBadge(state)?.title.length).toBeGreaterThan(20);
    expect([auditBadge(null), auditBadge(undefined), auditBadge("toString" as AuditName)]).toEqual([null, null, null]);
  });

  it("stands in the line above a run", () => {
    const head = new Head({ onFailure: vi.fn(), onHome: vi.fn(), onSearch: vi.fn(), onHelp: vi.fn() });
    const payload = golden("house");
    head.show(new Run(payload));
    expect(head.element.querySelector(".ftnb-audit")).toBeNull();
    head.show(new Run({ ...payload, engagement: { ...payload.engagement, audit: "redacted" } }));
    expect(head.element.querySelector(".ftnb-audit")?.textContent).toBe("redacted");
  });
});
