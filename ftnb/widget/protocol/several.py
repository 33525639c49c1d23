"""Two runs side by side, and the process map of many."""

from __future__ import annotations

from typing import Literal, TypedDict

from .run import EngagementPayload, Layout, NodeKind

PairKind = Literal["same", "changed", "only_a", "only_b"]


class Pair(TypedDict):
    """Two steps that belong together, as indexes into the steps of either run; None where one run has no such step."""

    a: int | None
    b: int | None
    kind: PairKind
    note: str


class ComparedNode(TypedDict):
    """A node of either run; `a` and `b` are its indexes there."""

    name: str
    label: str
    kind: NodeKind
    parent: int | None
    is_global: bool
    is_goal: bool
    declared: bool
    a: int | None
    b: int | None


class ComparedEdge(TypedDict):
    """A way in either run, and how often each took it."""

    source: int
    target: int
    kind: str
    declared: bool
    a: int
    b: int


class ComparisonPayload(TypedDict):
    """Two runs side by side on one graph and one axis of time."""

    v: int
    kind: Literal["comparison"]
    names: list[str]
    runs: list[EngagementPayload]
    alignment: list[Pair]
    nodes: list[ComparedNode]
    edges: list[ComparedEdge]
    layout: Layout


class MapNumbers(TypedDict):
    """What one group of engagements adds up to, at a node or on an edge. Durations are medians in ms: of the node's
    steps, or of the time between the two steps; `n_dropped` ended here without a goal. None: not known."""

    n: int
    n_engagements: int
    n_dropped: int
    duration_ms: float | None
    total_tokens: int
    cost: float | None


class MapNode(TypedDict):
    """A node of a process map; `numbers` are parallel to the groups."""

    name: str
    label: str
    kind: NodeKind
    parent: int | None
    is_global: bool
    is_goal: bool
    declared: bool
    numbers: list[MapNumbers]


class MapEdge(TypedDict):
    """A way between two nodes of a process map; `numbers` are parallel to the groups."""

    source: int
    target: int
    kind: str
    declared: bool
    numbers: list[MapNumbers]


class MapGroup(TypedDict):
    """Some engagements, and how many they are."""

    name: str
    n_engagements: int


class ProcessMapPayload(TypedDict):
    """Many engagements as one graph with numbers; with two groups also their difference (second less first)."""

    v: int
    kind: Literal["process_map"]
    title: str
    currency: str
    groups: list[MapGroup]
    nodes: list[MapNode]
    edges: list[MapEdge]
    layout: Layout
