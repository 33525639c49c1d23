// Generated from ftnb/widget/protocol.py by js/generate_protocol.py; change that file, not this one.

export const PROTOCOL_VERSION = 1;

export type NodeKind = "step" | "start" | "end";

export type StepStatusName = "running" | "completed" | "failed" | "skipped" | "waiting" | "cancelled";

export type EngagementStatusName = "active" | "paused" | "completed" | "failed" | "abandoned";

export type DetailPart = "state" | "update" | "event" | "extraction" | "metadata";

/** A value, possibly with parts left out. `value` is canonical JSON. What was left out stands in it as a marker `{"$ftnb": "cut", "why": "size", "type", "n", "head"?}`; `cut` says whether there is any, or a reference that was not resolved. */
export interface Preview {
  value: unknown;
  cut: boolean;
  n_bytes: number;
}

/** The engagement as a whole. */
export interface Summary {
  id: string;
  name: string;
  status: "active" | "paused" | "completed" | "failed" | "abandoned";
  started_at: string;
  ended_at: string | null;
  duration_ms: number;
  total_tokens: number;
  discarded_tokens: number;
  n_turns: number;
  n_llm_calls: number;
  n_tool_calls: number;
  n_failing_steps: number;
  dropped_at: string | null;
  error: string | null;
  parent_id: string | null;
  metadata: Preview;
}

/** A workflow node, with what its steps add up to. */
export interface Node {
  name: string;
  label: string;
  kind: "step" | "start" | "end";
  parent: number | null;
  is_global: boolean;
  is_goal: boolean;
  declared: boolean;
  n_steps: number;
  n_visits: number;
  status: "running" | "completed" | "failed" | "skipped" | "waiting" | "cancelled" | null;
  total_tokens: number;
  duration_ms: number;
  n_failing: number;
  tools: Array<string>;
}

/** A way from one node to another; `taken` counts how often this engagement took it. */
export interface Edge {
  source: number;
  target: number;
  kind: string;
  condition: string | null;
  declared: boolean;
  taken: number;
}

/** One step that led to another: both are indexes into `steps`. */
export interface Cause {
  source: number;
  target: number;
  kind: string;
}

/** One step, in recorded order. */
export interface StepRow {
  id: string;
  name: string;
  node: number;
  visit: number;
  n_visits: number;
  attempt: number;
  turn: number;
  ns: string;
  status: "running" | "completed" | "failed" | "skipped" | "waiting" | "cancelled";
  is_global: boolean;
  parent: number | null;
  offset_ms: number;
  duration_ms: number;
  total_tokens: number;
  n_events: number;
  failing: boolean;
  error: string | null;
}

/** A point or stretch on a lane; `event` is an index into the step's events. */
export interface Mark {
  kind: string;
  name: string;
  offset_ms: number;
  duration_ms: number;
  ttft_ms: number | null;
  event: number | null;
  failed: boolean;
  discarded: boolean;
}

/** One step over time; `open` means that its end is not known. */
export interface Lane {
  step: number;
  offset_ms: number;
  duration_ms: number;
  open: boolean;
  marks: Array<Mark>;
}

/** A global step was entered; `step` is the index of the step entered, where it is known. */
export interface Switch {
  offset_ms: number;
  from_step: string | null;
  to_step: string;
  reason: string;
  step: number | null;
}

/** Lanes, earliest first. `idle` are stretches `[from, to]` in ms in which no step ran and that are drawn short. */
export interface Timeline {
  total_ms: number;
  lanes: Array<Lane>;
  switches: Array<Switch>;
  idle: Array<Array<number>>;
}

/** Something known to be missing from the trace. */
export interface GapRow {
  reason: string;
  count: number;
  detail: string;
}

/** Tokens of one LLM call. */
export interface Tokens {
  prompt: number;
  completion: number;
  total: number;
  cache_read: number;
  cache_write: number;
  reasoning: number;
}

/** One event inside a step. */
export interface EventDetail {
  id: string;
  kind: string;
  name: string;
  offset_ms: number;
  duration_ms: number | null;
  ttft_ms: number | null;
  model: string | null;
  subtype: string | null;
  error: string | null;
  error_type: string | null;
  discarded: boolean;
  tokens: Tokens | null;
  payload: Preview;
}

/** Structured data that a step extracted. */
export interface ExtractionDetail {
  schema_name: string;
  confidence: number | null;
  valid: boolean;
  values: Preview;
}

/** What the inspector shows of a step; parallel to `steps`. */
export interface StepDetail {
  state: Preview | null;
  update: Preview | null;
  extraction: ExtractionDetail | null;
  events: Array<EventDetail>;
  error_type: string | null;
  tools_available: Array<string>;
}

/** Where things are drawn, in pixels: `nodes` are `[x, y, width, height]` by centre, `edges` are `[x, y, ...]` of the points that an edge bends at, in the order of the payload's nodes and edges. */
export interface Placement {
  width: number;
  height: number;
  nodes: Array<Array<number>>;
  edges: Array<Array<number>>;
}

/** The same graph laid out left to right and top to bottom. */
export interface Layout {
  across: Placement;
  down: Placement;
}

/** Everything the view of one engagement needs. */
export interface EngagementPayload {
  v: number;
  engagement: Summary;
  has_topology: boolean;
  nodes: Array<Node>;
  edges: Array<Edge>;
  layout: Layout;
  steps: Array<StepRow>;
  causes: Array<Cause>;
  timeline: Timeline;
  gaps: Array<GapRow>;
  details: Array<StepDetail>;
}

/** Browser to kernel: the user selected these steps (ids). */
export interface SelectMessage {
  op: "select";
  selection: Array<string>;
  seq: number;
}

/** Browser to kernel: send this value whole. `event` is an index into the step's events. */
export interface FetchMessage {
  op: "fetch";
  part: "state" | "update" | "event" | "extraction" | "metadata";
  step: string | null;
  event: number | null;
  seq: number;
}

/** Kernel to browser: the answer to the fetch with the same `seq`; `error` says why there is no value. */
export interface ValueMessage {
  op: "value";
  seq: number;
  preview: Preview | null;
  error: string | null;
}
