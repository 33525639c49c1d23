// What each status and event kind looks like: a colour, a shape and a word, never a colour alone. Pure.

export interface Look {
  /** Name of the CSS variable that holds the colour. */
  color: string;
  /** Stroked path in a 16 × 16 box. */
  path: string;
  word: string;
}

const CHECK = "M3.5 8.5 L6.7 11.7 L12.5 4.8";
const CROSS = "M4.2 4.2 L11.8 11.8 M11.8 4.2 L4.2 11.8";
const PLAY = "M5.5 3.8 L12 8 L5.5 12.2 Z";
const PAUSE = "M5.8 4 V12 M10.2 4 V12";
const STOP = "M13 8 A5 5 0 1 1 3 8 A5 5 0 1 1 13 8 M4.6 11.4 L11.4 4.6";
const SKIP = "M4 4.5 L8 8 L4 11.5 M8.5 4.5 L12.5 8 L8.5 11.5";
const LEAVE = "M8 3.5 V10.5 M4.8 7.6 L8 10.8 L11.2 7.6 M4 13 H12";

const STATUSES: Record<string, Look> = {
  completed: { color: "--ftnb-done", path: CHECK, word: "completed" },
  running: { color: "--ftnb-running", path: PLAY, word: "running" },
  active: { color: "--ftnb-running", path: PLAY, word: "running" },
  failed: { color: "--ftnb-failed", path: CROSS, word: "failed" },
  waiting: { color: "--ftnb-waiting", path: PAUSE, word: "waiting" },
  paused: { color: "--ftnb-waiting", path: PAUSE, word: "paused" },
  cancelled: { color: "--ftnb-muted", path: STOP, word: "cancelled" },
  skipped: { color: "--ftnb-muted", path: SKIP, word: "skipped" },
  abandoned: { color: "--ftnb-muted", path: LEAVE, word: "abandoned" },
};

const UNKNOWN: Look = { color: "--ftnb-muted", path: "M8 4 V9 M8 12 V12.1", word: "unknown" };

/** How to show a status of a step or an engagement. */
export function statusLook(status: string | null): Look {
  return (status !== null && Object.hasOwn(STATUSES, status) && STATUSES[status]) || UNKNOWN;
}

const KINDS: Record<string, Look> = {
  llm_call: { color: "--ftnb-llm", path: "M8 3.2 L12.8 8 L8 12.8 L3.2 8 Z", word: "LLM call" },
  tool_call: { color: "--ftnb-tool", path: "M4 4 H12 V12 H4 Z", word: "tool call" },
  extraction: { color: "--ftnb-extraction", path: "M8 3.5 L13 12.3 H3 Z", word: "extraction" },
  log: { color: "--ftnb-muted", path: "M4 5 H12 M4 8 H12 M4 11 H9", word: "log" },
  error: { color: "--ftnb-failed", path: CROSS, word: "error" },
  intent_switch: { color: "--ftnb-switch", path: "M3 5 H10 L8 3 M13 11 H6 L8 13", word: "intent switch" },
};

/** How to show an event of this kind. */
export function kindLook(kind: string): Look {
  return (Object.hasOwn(KINDS, kind) && KINDS[kind]) || { ...UNKNOWN, word: kind };
}

export const ICON_GLOBAL = "M4.5 3.5 H11.5 L14.5 6 V10 L11.5 12.5 H4.5 L1.5 10 V6 Z";
export const ICON_WARNING = "M8 2.8 L14 13 H2 Z M8 6.5 V9.3 M8 11.2 V11.3";
export const ICON_FIT = "M3 6 V3 H6 M10 3 H13 V6 M13 10 V13 H10 M6 13 H3 V10";
export const ICON_PREVIOUS = "M10 3.5 L5.5 8 L10 12.5";
export const ICON_NEXT = "M6 3.5 L10.5 8 L6 12.5";
export const ICON_HOME = "M3 4.5 H13 M3 8 H13 M3 11.5 H13";
export const ICON_PLUS = "M8 3.5 V12.5 M3.5 8 H12.5";
export const ICON_MINUS = "M3.5 8 H12.5";
export const ICON_SEARCH = "M10.2 10.2 L13.5 13.5 M11.5 7 A4.5 4.5 0 1 1 2.5 7 A4.5 4.5 0 1 1 11.5 7";
export const ICON_HELP = "M5.5 6 A2.6 2.6 0 1 1 8 8.8 V10 M8 12.6 V12.7";
export const ICON_CLOSE = "M4.2 4.2 L11.8 11.8 M11.8 4.2 L4.2 11.8";
export const ICON_COPY = "M6 5.5 H12.5 V13.5 H6 Z M3.5 10.5 V2.5 H10";
export const ICON_UNPLUGGED = "M3 3 L13 13 M5.5 6.5 V8.5 A2.5 2.5 0 0 0 8 11 V13.5 M10.5 8 V6 M6.5 2.5 V4 M9.5 2.5 V4";
export const ICON_LOCK = "M4 7.5 H12 V13 H4 Z M5.7 7.5 V5.5 A2.3 2.3 0 0 1 10.3 5.5 V7.5";
export const ICON_TAG = "M2.5 2.5 H8 L13.5 8 L8 13.5 L2.5 8 Z M5.2 5.2 V5.3";
export const ICON_NOTE = "M3 3 H13 V10.5 H8 L5 13 V10.5 H3 Z";
export const ICON_BELL = "M3.5 11.5 H12.5 C11 10 11.5 8 11.3 6.5 A3.3 3.3 0 0 0 4.7 6.5 C4.5 8 5 10 3.5 11.5 M7 13.6 H9";
