"""Lists of engagements: the monitor and the browser."""

from __future__ import annotations

from typing import Literal, TypedDict

from .run import AuditName, EngagementStatusName, Following

Within = Literal["about", "values"]


class ActivityRow(TypedDict):
    """One engagement in the monitor. `spark` counts records in the last stretches of time, oldest first."""

    id: str
    name: str
    status: EngagementStatusName
    started_at: str
    duration_ms: float
    steps: int
    running: list[str]
    last_step: str
    tokens: int
    tokens_per_s: float
    errors: int
    llm_calls: int
    tool_calls: int
    turns: int
    dropped: int
    spark: list[int]


class AlertRow(TypedDict):
    """A condition that is watched; `n` counts how often it came true."""

    key: int
    name: str
    condition: str
    n: int
    error: str | None


class AlarmRow(TypedDict):
    """It came true."""

    alert: int
    name: str
    engagement: str
    engagement_name: str
    step: str | None
    text: str
    at: str


class MonitorPayload(TypedDict):
    """Everything the monitor shows."""

    v: int
    kind: Literal["monitor"]
    store: str
    rows: list[ActivityRow]
    n_more: int
    alerts: list[AlertRow]
    alarms: list[AlarmRow]
    following: Following | None


class OpenMessage(TypedDict):
    """Browser to kernel: show this engagement, and select this step."""

    op: Literal["open"]
    engagement: str | None
    step: str | None
    seq: int


class RemoveAlertMessage(TypedDict):
    """Browser to kernel: watch this alert no longer."""

    op: Literal["remove_alert"]
    key: int
    seq: int


class Picked(TypedDict):
    """Only engagements with one of these values; `field` is a column, or `meta:` and a key of the metadata."""

    field: str
    values: list[str]


class BrowseQuery(TypedDict):
    """What of many engagements is shown.

    `text` stands `within` what is told about an engagement (its name, id, metadata, error), or in a recorded value.
    """

    text: str
    within: Within
    picked: list[Picked]
    sort: str
    descending: bool
    page: int


class FacetValue(TypedDict):
    """A value, and how many engagements have it that all other choices leave."""

    value: str
    n: int
    picked: bool


class Facet(TypedDict):
    """A field to choose by; `n_more` values are rarer than those that are listed."""

    field: str
    label: str
    values: list[FacetValue]
    n_more: int


class Spread(TypedDict):
    """How a number is spread over what was found: `counts` in bins of equal width on a scale of logarithms."""

    field: str
    low: float
    high: float
    counts: list[int]


class BrowseRow(TypedDict):
    """One engagement in the list."""

    id: str
    name: str
    status: EngagementStatusName
    started_at: str
    duration_ms: float | None
    n_turns: int
    n_steps: int
    n_errors: int
    total_tokens: int
    dropped_at: str | None
    parent_id: str | None
    error: str | None
    metadata: list[list[str]]
    audit: AuditName | None


class HitRow(TypedDict):
    """A value that holds a text that was searched for."""

    engagement: str
    engagement_name: str
    status: EngagementStatusName | None
    step: str | None
    step_name: str | None
    where: str
    path: str
    before: str
    match: str
    after: str


class BrowserPayload(TypedDict):
    """One page of many engagements, or of what a search found in them (`hits`).

    `note` says what is not there yet, or left out; `searches`: whether recorded values can be searched from here.
    """

    v: int
    kind: Literal["browser"]
    title: str
    note: str
    searches: bool
    n: int
    n_found: int
    page_size: int
    query: BrowseQuery
    rows: list[BrowseRow]
    hits: list[HitRow] | None
    facets: list[Facet]
    spreads: list[Spread]


class BrowseMessage(TypedDict):
    """Browser to kernel: show this page of this choice."""

    op: Literal["browse"]
    query: BrowseQuery
    seq: int
