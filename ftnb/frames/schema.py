"""Every column of every frame, declared: name, dtype, unit, whether it can be null, and what it means.

The data dictionary (`data_dictionary`) is printed from these lines and the frames are built to them, so that they
cannot disagree. A frame begins with the columns of its table in this order; `engagements(meta=…)` adds more at its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from ..core.errors import InvalidArgumentError

if TYPE_CHECKING:
    import polars as pl

Dtype = Literal["str", "int", "float", "bool", "time", "list[str]"]
TableName = Literal["engagements", "steps", "events", "transitions", "extractions", "intent_switches", "annotations"]


BRANCH_KEY = "ftnb_branch"
"""Metadata key of an engagement that debugging made: `replay` or `fork`."""
BRANCHES = ("replay", "fork")


class Column(NamedTuple):
    """One column of a frame."""

    name: str
    dtype: Dtype
    unit: str
    nullable: bool
    doc: str


_ENGAGEMENT_ID = Column("engagement_id", "str", "", False, "the engagement")
_STEP_ID = Column("step_id", "str", "", False, "the step; unique within its engagement, so join on both ids")
_TURN = Column("turn", "int", "", False, "turn of the engagement, from 1")

ENGAGEMENTS: tuple[Column, ...] = (
    _ENGAGEMENT_ID,
    Column("name", "str", "", False, "the workflow's name"),
    Column("status", "str", "", False, "active, paused, completed, failed or abandoned"),
    Column("started_at", "time", "UTC", False, "when it began"),
    Column("ended_at", "time", "UTC", True, "when it ended; null while it is active or paused"),
    Column("duration_ms", "float", "ms", True, "from start to end, pauses included; null until it ended"),
    Column("wait_ms", "float", "ms", False, "time paused, waiting for a human; a pause that still lasts is not in it"),
    Column("n_turns", "int", "turns", False, "turns so far"),
    Column("n_steps", "int", "steps", False, "step executions, retries included"),
    Column("n_errors", "int", "errors", False, "events with an error, and failed steps that hold no such event"),
    Column("total_tokens", "int", "tokens", False, "tokens over all steps, those discarded by a pause left out"),
    Column("dropped_at", "str", "", True, "name of the last step, of an abandoned or failed engagement"),
    Column("parent_id", "str", "", True, "the engagement that this one was forked from"),
    Column("metadata", "str", "JSON", False, "what the caller attached, as a JSON object"),
    Column("error", "str", "", True, "message of the exception that ended it"),
    Column("branch", "str", "", True, "replay or fork: debugging made it from parent_id; null: a run of its own"),
)
STEPS: tuple[Column, ...] = (
    _ENGAGEMENT_ID,
    _STEP_ID,
    Column("name", "str", "", False, "the node's name; a node that runs again gives another row"),
    Column("ns", "str", "", False, "subgraph path, node names joined by `/`; empty at the top"),
    Column("visit", "int", "", False, "n-th execution of this node in the engagement, from 1"),
    Column("attempt", "int", "", False, "retry or resume of one visit, from 1"),
    _TURN,
    Column("status", "str", "", False, "running, waiting, completed, failed, skipped or cancelled"),
    Column("is_global", "bool", "", False, "may fire from anywhere and re-routes the intent"),
    Column("parent_step_id", "str", "", True, "the step inside which it ran; null at the top"),
    Column("triggers", "list[str]", "", False, "ids of the steps that caused it; empty when none was recorded"),
    Column("tools_available", "list[str]", "", False, "tools that the node could call"),
    Column("started_at", "time", "UTC", False, "when it began"),
    Column("ended_at", "time", "UTC", True, "when it ended; null when its end was not recorded"),
    Column("duration_ms", "float", "ms", True, "by a monotonic clock; null when not measured"),
    Column("total_tokens", "int", "tokens", False, "tokens of its events, those discarded by a pause left out"),
    Column("error", "str", "", True, "the exception's message"),
    Column("error_type", "str", "", True, "the exception's class"),
    Column("discarded_tokens", "int", "tokens", False, "tokens spent before a pause on work that the resume repeats"),
    Column("n_events", "int", "events", False, "events inside it"),
)
EVENTS: tuple[Column, ...] = (
    _ENGAGEMENT_ID,
    _STEP_ID,
    Column("event_id", "str", "", False, "the event"),
    Column("kind", "str", "", False, "llm_call, tool_call, extraction, log or error"),
    Column("name", "str", "", False, "the model's, tool's or logger's name"),
    Column("at", "time", "UTC", False, "when it began"),
    Column("duration_ms", "float", "ms", True, "null when not measured"),
    Column("ttft_ms", "float", "ms", True, "time to the first streamed token; null when not streamed"),
    Column("model", "str", "", True, "the model that answered, as its provider names it"),
    Column("prompt_tokens", "int", "tokens", True, "null for what is no LLM call or reports no usage"),
    Column("completion_tokens", "int", "tokens", True, "likewise"),
    Column("total_tokens", "int", "tokens", True, "as the provider counts them, else prompt + completion"),
    Column("error", "str", "", True, "the error's message; null: it succeeded"),
    Column("n_bytes", "int", "bytes", True, "size of the payload as JSON; null: it has none"),
    Column("error_type", "str", "", True, "the exception's class"),
    Column("subtype", "str", "", True, "a narrower kind, as `retriever` for a tool call"),
    Column("discarded", "bool", "", False, "of a step that ended waiting: left out of totals"),
    Column("cache_read_tokens", "int", "tokens", True, "part of prompt_tokens read from the provider's cache"),
    Column("cache_write_tokens", "int", "tokens", True, "part of prompt_tokens written to the cache"),
    Column("reasoning_tokens", "int", "tokens", True, "part of completion_tokens spent on hidden reasoning"),
    _TURN,
)
PAYLOAD = Column("payload", "str", "JSON", True, "what the event carried, as JSON; only with payload=True")
TRANSITIONS: tuple[Column, ...] = (
    _ENGAGEMENT_ID,
    Column("from_step_id", "str", "", True, "the causing step; null: to_step is where the engagement began"),
    Column("to_step_id", "str", "", True, "the caused step; null: from_step is where the engagement ended"),
    Column("from_name", "str", "", True, "name of the causing step"),
    Column("to_name", "str", "", True, "name of the caused step"),
    Column("kind", "str", "", False, "static, conditional, send, join, goto, error; resume: goes on after a pause"),
    Column("at", "time", "UTC", True, "when the caused step began; of an end, when the causing step ended"),
    _TURN,
    Column("ns", "str", "", False, "subgraph path in which it happened; empty at the top"),
)
EXTRACTIONS: tuple[Column, ...] = (
    _ENGAGEMENT_ID,
    _STEP_ID,
    Column("schema_name", "str", "", False, "what was extracted"),
    Column("at", "time", "UTC", False, "when"),
    Column("values", "str", "JSON", False, "the extracted fields, as a JSON object"),
    Column("confidence", "float", "", True, "in [0, 1]; null when the extractor gives none"),
    Column("valid", "bool", "", False, "whether it satisfied its schema"),
    _TURN,
)
INTENT_SWITCHES: tuple[Column, ...] = (
    _ENGAGEMENT_ID,
    Column("from_step", "str", "", True, "name of the step before; null: it came first"),
    Column("to_step", "str", "", False, "name of the global step that was entered"),
    Column("reason", "str", "", False, "why"),
    Column("at", "time", "UTC", False, "when"),
    _TURN,
)
ANNOTATIONS: tuple[Column, ...] = (
    _ENGAGEMENT_ID,
    Column("step_id", "str", "", True, "the step that is judged; null: the engagement as a whole"),
    Column("label", "str", "", False, "what is judged"),
    Column(
        "value", "float", "", True, "the judgement where it is a number; yes is 1, no is 0; null where it is a text"
    ),
    Column("text", "str", "", True, "the judgement where it is a text"),
    Column("by", "str", "", True, "who judged; null when not said"),
    Column("note", "str", "", True, "why, in words"),
    Column("at", "time", "UTC", False, "when"),
)

TABLES: dict[TableName, tuple[Column, ...]] = {
    "engagements": ENGAGEMENTS,
    "steps": STEPS,
    "events": EVENTS,
    "transitions": TRANSITIONS,
    "extractions": EXTRACTIONS,
    "intent_switches": INTENT_SWITCHES,
    "annotations": ANNOTATIONS,
}


def polars_schema(columns: tuple[Column, ...]) -> dict[str, pl.DataType]:
    """Column name to polars dtype."""
    import polars as pl

    dtypes: dict[Dtype, pl.DataType] = {
        "str": pl.String(),
        "int": pl.Int64(),
        "float": pl.Float64(),
        "bool": pl.Boolean(),
        "time": pl.Datetime("us", "UTC"),
        "list[str]": pl.List(pl.String()),
    }
    return {column.name: dtypes[column.dtype] for column in columns}


def data_dictionary(table: TableName | None = None) -> str:
    """The columns of one table, or of all, as Markdown. Raises InvalidArgumentError for an unknown table."""
    if table is not None and table not in TABLES:
        raise InvalidArgumentError(f"no table {table!r}; tables: {', '.join(TABLES)}")
    lines: list[str] = []
    for name in [table] if table else TABLES:
        lines += [f"### {name}", "", "| column | dtype | unit | null | meaning |", "| --- | --- | --- | --- | --- |"]
        for c in TABLES[name]:
            lines.append(f"| {c.name} | {c.dtype} | {c.unit} | {'yes' if c.nullable else 'no'} | {c.doc} |")
        lines.append("")
    return "\n".join(lines)
