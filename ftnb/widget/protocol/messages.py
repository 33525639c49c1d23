"""What a view of a run and the kernel say to each other, and what is asked about a step."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from .run import EngagementStatusName, Preview

InsightKind = Literal["why", "changes", "source"]
BranchKind = Literal["run", "replay", "fork"]
DetailPart = Literal["state", "update", "event", "extraction", "metadata"]


class SelectMessage(TypedDict):
    """Browser to kernel: the user selected these steps (ids)."""

    op: Literal["select"]
    selection: list[str]
    seq: int


class FetchMessage(TypedDict):
    """Browser to kernel: send this value whole. `event` is an index into the step's events."""

    op: Literal["fetch"]
    part: DetailPart
    step: str | None
    event: int | None
    seq: int


class ValueMessage(TypedDict):
    """Kernel to browser: the answer to the fetch with the same `seq`; `error` says why there is no value."""

    op: Literal["value"]
    seq: int
    preview: Preview | None
    error: str | None


class StateMessage(TypedDict):
    """Browser to kernel: these fields of the view's state changed."""

    op: Literal["state"]
    state: Any
    seq: int


class HelloMessage(TypedDict):
    """Browser to kernel: a view was mounted, with a payload that has this many patches in it."""

    op: Literal["hello"]
    patches: int
    seq: int


class DetailMessage(TypedDict):
    """Browser to kernel: send the details of this step (id), which a long run leaves out at first."""

    op: Literal["detail"]
    step: str
    seq: int


class SearchMessage(TypedDict):
    """Browser to kernel: in which steps does a whole value contain this text?"""

    op: Literal["search"]
    text: str
    seq: int


class AnnotateMessage(TypedDict):
    """Browser to kernel: put this on record, about a step (id) or the engagement (null)."""

    op: Literal["annotate"]
    step: str | None
    label: str
    value: bool | float | str
    note: str | None
    seq: int


class CauseRow(TypedDict):
    """`cause` led to `step` (names; ids where they are steps), and how. `depth` 0 is about the step that was asked for,
    1 about what led to it. `said` is what the router said; `wrote` what the cause changed, in words."""

    step_id: str
    step: str
    cause_id: str | None
    cause: str
    kind: str
    router: str | None
    said: Preview | None
    text: str
    wrote: list[str]
    depth: int


class WhyDetail(TypedDict):
    """Why a step ran: what led to it, and what came before that, nearest first; `n_more` were left out."""

    title: str
    causes: list[CauseRow]
    before: list[CauseRow]
    n_more: int


class ChangeRow(TypedDict):
    """One operation of a patch: add, remove or replace, at a JSON pointer."""

    op: str
    path: str
    where: str
    before: Preview | None
    after: Preview | None


class ChangesDetail(TypedDict):
    """What a step changed in the state, with the graph's reducers applied. Of the keys `unknown` that is not known."""

    title: str
    changes: list[ChangeRow]
    n_more: int
    unknown: list[str]


class CodeDetail(TypedDict):
    """The code of a node or router as it was; `changed` and `diff` tell of today's, null where there is none here."""

    node: str
    qualname: str
    text: str
    place: str
    sha256: str
    version: str
    changed: bool | None
    diff: str | None
    routers: list[CodeDetail]


class InspectMessage(TypedDict):
    """Browser to kernel: why did this step (id) run, what did it change, or what was its code?"""

    op: Literal["inspect"]
    step: str
    what: InsightKind
    seq: int


class Relative(TypedDict):
    """An engagement that this one was made from, or that was made from it. `depth` counts from the eldest; `at` is the
    step at which it branched off."""

    id: str
    name: str
    kind: BranchKind
    status: EngagementStatusName
    started_at: str
    n_steps: int
    total_tokens: int
    at: str | None
    depth: int


class FamilyMessage(TypedDict):
    """Browser to kernel: which engagements belong together with this one? With `show` (an id), show that one."""

    op: Literal["family"]
    show: str | None
    seq: int


class SavedInsight(TypedDict):
    """What a page without a kernel answers; `error` says why there is no value."""

    step: str
    what: InsightKind
    value: Any
    error: str | None


class Saved(TypedDict):
    """What a saved page carries in place of a kernel."""

    insights: list[SavedInsight] | None
    family: list[Relative]


class AnswerMessage(TypedDict):
    """Kernel to browser: the answer to the message with the same `seq`; `error` says why there is none."""

    op: Literal["answer"]
    seq: int
    value: Any
    error: str | None


class Change(TypedDict):
    """One change of the payload: `path` leads to what is replaced by `value`; with `n`, to a list that is cut to n."""

    path: list[str | int]
    value: Any
    n: int | None


class PatchMessage(TypedDict):
    """Kernel to browser: the run went on. Patches apply in the order of `patch`: the payload's `seq` after it."""

    op: Literal["patch"]
    patch: int
    changes: list[Change]
