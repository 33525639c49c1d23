"""What crosses from Python to the browser, declared once.

`js/generate_protocol.py` writes `js/src/protocol.gen.ts` from these classes. All of it is plain JSON. Nodes, edges and
steps refer to each other by index, never by name: names are the user's text and may be anything.
"""

# Names are packed: one a line would be three pages.
# ruff: noqa: I001, RUF022

from __future__ import annotations

from .lists import (
    ActivityRow, AlarmRow, AlertRow, BrowseMessage, BrowseQuery, BrowseRow, BrowserPayload, Facet, FacetValue,
    HitRow, MonitorPayload, OpenMessage, Picked, RemoveAlertMessage, Spread, Within,
)  # fmt: skip
from .messages import (
    AnnotateMessage, AnswerMessage, BranchKind, CauseRow, Change, ChangeRow, ChangesDetail, CodeDetail,
    DetailMessage, DetailPart, FamilyMessage, FetchMessage, HelloMessage, InsightKind, InspectMessage, PatchMessage,
    Relative, Saved, SavedInsight, SearchMessage, SelectMessage, StateMessage, ValueMessage, WhyDetail,
)  # fmt: skip
from .run import (
    AnnotationRow, AuditName, Cause, Column, ColumnType, Edge, EngagementPayload, EngagementStatusName, EventDetail,
    ExtractionDetail, Filter, Following, GapRow, Lane, Layout, Mark, MarkColumns, Node, NodeKind, Placement,
    Preview, StepColumns, StepDetail, StepRow, StepStatusName, Summary, Switch, Timeline, Tokens, ViewState,
)  # fmt: skip
from .several import (
    ComparedEdge, ComparedNode, ComparisonPayload, MapEdge, MapGroup, MapNode, MapNumbers, Pair, PairKind,
    ProcessMapPayload,
)  # fmt: skip

PROTOCOL_VERSION = 1

__all__ = [
    "ActivityRow", "AlarmRow", "AlertRow", "AnnotateMessage", "AnnotationRow", "AnswerMessage", "AuditName",
    "BranchKind", "BrowseMessage", "BrowseQuery", "BrowseRow", "BrowserPayload", "Cause", "CauseRow", "Change",
    "ChangeRow", "ChangesDetail", "CodeDetail", "Column", "ColumnType", "ComparedEdge", "ComparedNode",
    "ComparisonPayload", "DetailMessage", "DetailPart", "Edge", "EngagementPayload", "EngagementStatusName",
    "EventDetail", "ExtractionDetail", "Facet", "FacetValue", "FamilyMessage", "FetchMessage", "Filter", "Following",
    "GapRow", "HelloMessage", "HitRow", "InsightKind", "InspectMessage", "Lane", "Layout", "MapEdge", "MapGroup",
    "MapNode", "MapNumbers", "Mark", "MarkColumns", "MonitorPayload", "Node", "NodeKind", "OpenMessage",
    "PROTOCOL_VERSION", "Pair", "PairKind", "PatchMessage", "Picked", "Placement", "Preview", "ProcessMapPayload",
    "Relative", "RemoveAlertMessage", "Saved", "SavedInsight", "SearchMessage", "SelectMessage", "Spread",
    "StateMessage", "StepColumns", "StepDetail", "StepRow", "StepStatusName", "Summary", "Switch", "Timeline",
    "Tokens", "ValueMessage", "ViewState", "WhyDetail", "Within",
]  # fmt: skip
