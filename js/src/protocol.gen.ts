// Generated from ftnb/widget/protocol by js/generate_protocol.py; change those files, not this one.

export const PROTOCOL_VERSION = 1;

export type NodeKind = "step" | "start" | "end";

export type StepStatusName = "running" | "completed" | "failed" | "skipped" | "waiting" | "cancelled";

export type EngagementStatusName = "active" | "paused" | "completed" | "failed" | "abandoned";

export type AuditName = "sealed" | "unsealed" | "gap" | "redacted";

export type ColumnType = "f8" | "f4" | "i4" | "u4" | "u2" | "u1";

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
  audit: "sealed" | "unsealed" | "gap" | "redacted" | null;
}

/** A workflow node, with what its steps add up to. `n_steps` counts attempts, `n_visits` does not; `cost` is in the unit of the prices it was reckoned with, None where no step of it has one. */
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
  cost: number | null;
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
  cost: number | null;
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

/** Lanes, earliest first; times count from the first step. `idle` are stretches `[from, to]` in ms in which no step ran and that are drawn short; `waits` are those, long or not, in which a human was waited for. */
export interface Timeline {
  total_ms: number;
  lanes: Array<Lane>;
  switches: Array<Switch>;
  idle: Array<Array<number>>;
  waits: Array<Array<number>>;
}

/** Many numbers, little-endian. `data` is a buffer where binary can be sent, and base64 where not. */
export interface Column {
  dtype: "f8" | "f4" | "i4" | "u4" | "u2" | "u1";
  data: unknown;
}

/** The marks of all lanes, for runs with many. Those of lane i are `start[i]` up to `start[i + 1]`, in the order of the step's events; `kind` and `name` are indexes into the lists; `ttft` is NaN where not measured; `flags` are 1 for failed and 2 for discarded. */
export interface MarkColumns {
  kinds: Array<string>;
  names: Array<string>;
  start: Column;
  offset: Column;
  duration: Column;
  ttft: Column;
  kind: Column;
  name: Column;
  flags: Column;
}

/** Steps, lanes and causes of a long run; `name`, `ns` and `status` are indexes into the lists, `parent` is -1 for none, `cost` is NaN for none, `flags` are 1 for global, 2 for failing and 4 for open; `errors` are `[step, message]`. */
export interface StepColumns {
  ids: Array<string>;
  names: Array<string>;
  namespaces: Array<string>;
  statuses: Array<string>;
  name: Column;
  ns: Column;
  status: Column;
  node: Column;
  visit: Column;
  n_visits: Column;
  attempt: Column;
  turn: Column;
  parent: Column;
  offset: Column;
  duration: Column;
  tokens: Column;
  cost: Column;
  n_events: Column;
  flags: Column;
  errors: Array<Array<unknown>>;
  lanes: Column;
  lane_offset: Column;
  lane_duration: Column;
  kinds: Array<string>;
  cause_source: Column;
  cause_target: Column;
  cause_kind: Column;
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

/** What somebody said about the engagement (`step` null) or a step (its index). */
export interface AnnotationRow {
  label: string;
  value: boolean | number | string;
  by: string | null;
  note: string | null;
  step: number | null;
  at: string;
}

/** The view of a run that is being recorded: what became of its records, as far as the recorder tells. */
export interface Following {
  is_on: boolean;
  dropped: number;
  detail: string;
  stalled_s: number;
}

/** Everything the view of one engagement needs. `seq` counts the patches that are in it already; `following` is null for a run that is not followed. With `marks`, the lanes' own lists of marks are empty; with `columns`, `steps`, `causes` and the timeline's lanes are. */
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
  annotations: Array<AnnotationRow>;
  following: Following | null;
  seq: number;
  marks: MarkColumns | null;
  columns: StepColumns | null;
}

/** Steps to pick out; null fields ask nothing. With `kind`, `model` or `tool`, a step is picked that has such an event, and `status` (then `failed` or `completed`) is that event's. */
export interface Filter {
  text: string | null;
  name: string | null;
  status: string | null;
  ns: string | null;
  turn: number | null;
  kind: string | null;
  model: string | null;
  tool: string | null;
}

/** How the user has set the view, beside the selection; kept in the model, so that a view that is mounted again is as before. `found` are ids of steps whose whole values contain the filter's text, as the kernel says (null: not asked). `graph` and `timeline` belong to those views. */
export interface ViewState {
  tab: string | null;
  filter: Filter | null;
  found: Array<string> | null;
  time_ms: number | null;
  graph: unknown;
  timeline: unknown;
}

export type InsightKind = "why" | "changes" | "source";

export type BranchKind = "run" | "replay" | "fork";

export type DetailPart = "state" | "update" | "event" | "extraction" | "metadata";

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

/** Browser to kernel: these fields of the view's state changed. */
export interface StateMessage {
  op: "state";
  state: unknown;
  seq: number;
}

/** Browser to kernel: a view was mounted, with a payload that has this many patches in it. */
export interface HelloMessage {
  op: "hello";
  patches: number;
  seq: number;
}

/** Browser to kernel: send the details of this step (id), which a long run leaves out at first. */
export interface DetailMessage {
  op: "detail";
  step: string;
  seq: number;
}

/** Browser to kernel: in which steps does a whole value contain this text? */
export interface SearchMessage {
  op: "search";
  text: string;
  seq: number;
}

/** Browser to kernel: put this on record, about a step (id) or the engagement (null). */
export interface AnnotateMessage {
  op: "annotate";
  step: string | null;
  label: string;
  value: boolean | number | string;
  note: string | null;
  seq: number;
}

/** `cause` led to `step` (names; ids where they are steps), and how. `depth` 0 is about the step that was asked for, 1 about what led to it. `said` is what the router said; `wrote` what the cause changed, in words. */
export interface CauseRow {
  step_id: string;
  step: string;
  cause_id: string | null;
  cause: string;
  kind: string;
  router: string | null;
  said: Preview | null;
  text: string;
  wrote: Array<string>;
  depth: number;
}

/** Why a step ran: what led to it, and what came before that, nearest first; `n_more` were left out. */
export interface WhyDetail {
  title: string;
  causes: Array<CauseRow>;
  before: Array<CauseRow>;
  n_more: number;
}

/** One operation of a patch: add, remove or replace, at a JSON pointer. */
export interface ChangeRow {
  op: string;
  path: string;
  where: string;
  before: Preview | null;
  after: Preview | null;
}

/** What a step changed in the state, with the graph's reducers applied. Of the keys `unknown` that is not known. */
export interface ChangesDetail {
  title: string;
  changes: Array<ChangeRow>;
  n_more: number;
  unknown: Array<string>;
}

/** The code of a node or router as it was; `changed` and `diff` tell of today's, null where there is none here. */
export interface CodeDetail {
  node: string;
  qualname: string;
  text: string;
  place: string;
  sha256: string;
  version: string;
  changed: boolean | null;
  diff: string | null;
  routers: Array<CodeDetail>;
}

/** Browser to kernel: why did this step (id) run, what did it change, or what was its code? */
export interface InspectMessage {
  op: "inspect";
  step: string;
  what: "why" | "changes" | "source";
  seq: number;
}

/** An engagement that this one was made from, or that was made from it. `depth` counts from the eldest; `at` is the step at which it branched off. */
export interface Relative {
  id: string;
  name: string;
  kind: "run" | "replay" | "fork";
  status: "active" | "paused" | "completed" | "failed" | "abandoned";
  started_at: string;
  n_steps: number;
  total_tokens: number;
  at: string | null;
  depth: number;
}

/** Browser to kernel: which engagements belong together with this one? With `show` (an id), show that one. */
export interface FamilyMessage {
  op: "family";
  show: string | null;
  seq: number;
}

/** What a page without a kernel answers; `error` says why there is no value. */
export interface SavedInsight {
  step: string;
  what: "why" | "changes" | "source";
  value: unknown;
  error: string | null;
}

/** What a saved page carries in place of a kernel. */
export interface Saved {
  insights: Array<SavedInsight> | null;
  family: Array<Relative>;
}

/** Kernel to browser: the answer to the message with the same `seq`; `error` says why there is none. */
export interface AnswerMessage {
  op: "answer";
  seq: number;
  value: unknown;
  error: string | null;
}

/** One change of the payload: `path` leads to what is replaced by `value`; with `n`, to a list that is cut to n. */
export interface Change {
  path: Array<string | number>;
  value: unknown;
  n: number | null;
}

/** Kernel to browser: the run went on. Patches apply in the order of `patch`: the payload's `seq` after it. */
export interface PatchMessage {
  op: "patch";
  patch: number;
  changes: Array<Change>;
}

export type PairKind = "same" | "changed" | "only_a" | "only_b";

/** Two steps that belong together, as indexes into the steps of either run; None where one run has no such step. */
export interface Pair {
  a: number | null;
  b: number | null;
  kind: "same" | "changed" | "only_a" | "only_b";
  note: string;
}

/** A node of either run; `a` and `b` are its indexes there. */
export interface ComparedNode {
  name: string;
  label: string;
  kind: "step" | "start" | "end";
  parent: number | null;
  is_global: boolean;
  is_goal: boolean;
  declared: boolean;
  a: number | null;
  b: number | null;
}

/** A way in either run, and how often each took it. */
export interface ComparedEdge {
  source: number;
  target: number;
  kind: string;
  declared: boolean;
  a: number;
  b: number;
}

/** Two runs side by side on one graph and one axis of time. */
export interface ComparisonPayload {
  v: number;
  kind: "comparison";
  names: Array<string>;
  runs: Array<EngagementPayload>;
  alignment: Array<Pair>;
  nodes: Array<ComparedNode>;
  edges: Array<ComparedEdge>;
  layout: Layout;
}

/** What one group of engagements adds up to, at a node or on an edge. Durations are medians in ms: of the node's steps, or of the time between the two steps; `n_dropped` ended here without a goal. None: not known. */
export interface MapNumbers {
  n: number;
  n_engagements: number;
  n_dropped: number;
  duration_ms: number | null;
  total_tokens: number;
  cost: number | null;
}

/** A node of a process map; `numbers` are parallel to the groups. */
export interface MapNode {
  name: string;
  label: string;
  kind: "step" | "start" | "end";
  parent: number | null;
  is_global: boolean;
  is_goal: boolean;
  declared: boolean;
  numbers: Array<MapNumbers>;
}

/** A way between two nodes of a process map; `numbers` are parallel to the groups. */
export interface MapEdge {
  source: number;
  target: number;
  kind: string;
  declared: boolean;
  numbers: Array<MapNumbers>;
}

/** Some engagements, and how many they are. */
export interface MapGroup {
  name: string;
  n_engagements: number;
}

/** Many engagements as one graph with numbers; with two groups also their difference (second less first). */
export interface ProcessMapPayload {
  v: number;
  kind: "process_map";
  title: string;
  currency: string;
  groups: Array<MapGroup>;
  nodes: Array<MapNode>;
  edges: Array<MapEdge>;
  layout: Layout;
}

export type Within = "about" | "values";

/** One engagement in the monitor. `spark` counts records in the last stretches of time, oldest first. */
export interface ActivityRow {
  id: string;
  name: string;
  status: "active" | "paused" | "completed" | "failed" | "abandoned";
  started_at: string;
  duration_ms: number;
  steps: number;
  running: Array<string>;
  last_step: string;
  tokens: number;
  tokens_per_s: number;
  errors: number;
  llm_calls: number;
  tool_calls: number;
  turns: number;
  dropped: number;
  spark: Array<number>;
}

/** A condition that is watched; `n` counts how often it came true. */
export interface AlertRow {
  key: number;
  name: string;
  condition: string;
  n: number;
  error: string | null;
}

/** It came true. */
export interface AlarmRow {
  alert: number;
  name: string;
  engagement: string;
  engagement_name: string;
  step: string | null;
  text: string;
  at: string;
}

/** Everything the monitor shows. */
export interface MonitorPayload {
  v: number;
  kind: "monitor";
  store: string;
  rows: Array<ActivityRow>;
  n_more: number;
  alerts: Array<AlertRow>;
  alarms: Array<AlarmRow>;
  following: Following | null;
}

/** Browser to kernel: show this engagement, and select this step. */
export interface OpenMessage {
  op: "open";
  engagement: string | null;
  step: string | null;
  seq: number;
}

/** Browser to kernel: watch this alert no longer. */
export interface RemoveAlertMessage {
  op: "remove_alert";
  key: number;
  seq: number;
}

/** Only engagements with one of these values; `field` is a column, or `meta:` and a key of the metadata. */
export interface Picked {
  field: string;
  values: Array<string>;
}

/** What of many engagements is shown. `text` stands `within` what is told about an engagement (its name, id, metadata, error), or in a recorded value. */
export interface BrowseQuery {
  text: string;
  within: "about" | "values";
  picked: Array<Picked>;
  sort: string;
  descending: boolean;
  page: number;
}

/** A value, and how many engagements have it that all other choices leave. */
export interface FacetValue {
  value: string;
  n: number;
  picked: boolean;
}

/** A field to choose by; `n_more` values are rarer than those that are listed. */
export interface Facet {
  field: string;
  label: string;
  values: Array<FacetValue>;
  n_more: number;
}

/** How a number is spread over what was found: `counts` in bins of equal width on a scale of logarithms. */
export interface Spread {
  field: string;
  low: number;
  high: number;
  counts: Array<number>;
}

/** One engagement in the list. */
export interface BrowseRow {
  id: string;
  name: string;
  status: "active" | "paused" | "completed" | "failed" | "abandoned";
  started_at: string;
  duration_ms: number | null;
  n_turns: number;
  n_steps: number;
  n_errors: number;
  total_tokens: number;
  dropped_at: string | null;
  parent_id: string | null;
  error: string | null;
  metadata: Array<Array<string>>;
  audit: "sealed" | "unsealed" | "gap" | "redacted" | null;
}

/** A value that holds a text that was searched for. */
export interface HitRow {
  engagement: string;
  engagement_name: string;
  status: "active" | "paused" | "completed" | "failed" | "abandoned" | null;
  step: string | null;
  step_name: string | null;
  where: string;
  path: string;
  before: string;
  match: string;
  after: string;
}

/** One page of many engagements, or of what a search found in them (`hits`). `note` says what is not there yet, or left out; `searches`: whether recorded values can be searched from here. */
export interface BrowserPayload {
  v: number;
  kind: "browser";
  title: string;
  note: string;
  searches: boolean;
  n: number;
  n_found: number;
  page_size: number;
  query: BrowseQuery;
  rows: Array<BrowseRow>;
  hits: Array<HitRow> | null;
  facets: Array<Facet>;
  spreads: Array<Spread>;
}

/** Browser to kernel: show this page of this choice. */
export interface BrowseMessage {
  op: "browse";
  query: BrowseQuery;
  seq: number;
}
