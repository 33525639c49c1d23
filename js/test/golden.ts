// Payloads that Python wrote (tests/widget/golden.py); the same files are compared there.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { EngagementPayload } from "../src/protocol.gen";

export function golden(name: string): EngagementPayload {
  return JSON.parse(readFileSync(join(import.meta.dirname, "../../tests/golden", `${name}.json`), "utf8")) as EngagementPayload;
}
