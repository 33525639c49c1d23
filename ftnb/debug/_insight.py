"""What the inspector of a view is told about a step: why it ran, what it changed, and its code. Plain JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from ..core.errors import InvalidArgumentError, NotRecordedError
from ..core.model import Engagement
from ..widget.preview import PREVIEW_BYTES, preview
from ..widget.protocol import CauseRow, ChangeRow, ChangesDetail, CodeDetail, InsightKind, SavedInsight, WhyDetail
from ._inspect import StateDiff, diff
from ._look import Look
from ._patch import Change, pointer, python_value, shown_path
from ._source import Source, source
from ._why import Cause, Why, why

_CAUSES, _CHANGES = 200, 300
_TEXT = 200_000
_SAVED: tuple[InsightKind, ...] = ("why", "changes")
_SAVED_STEPS = 300
_SAVED_BYTES = 2_000_000
"""Beyond this many steps and bytes a saved page goes without: it is to open at once, and to be sent by mail."""


def insight(look: Look, step_id: str, what: str, engagement: Engagement) -> Any:
    """`WhyDetail`, `ChangesDetail` or `CodeDetail` of a step.

    Raises NotRecordedError, UnknownStepError, and InvalidArgumentError for another `what`.
    """
    step = look.step(step_id)
    if what == "why":
        return why_detail(why(look, step, engagement))
    if what == "changes":
        return changes_detail(diff(look, step))
    if what == "source":
        return code_detail(source(look, step))
    raise InvalidArgumentError(f"nothing is known of {what!r}; known: {', '.join(get_args(InsightKind))}")


def why_detail(answer: Why) -> WhyDetail:
    """Why a step ran."""
    before = [cause for cause in answer.chain if cause.depth]
    return WhyDetail(
        title=answer.title,
        causes=[_cause(one) for one in answer.causes],
        before=[_cause(one) for one in before[:_CAUSES]],
        n_more=max(len(before) - _CAUSES, 0),
    )


def _cause(cause: Cause) -> CauseRow:
    return CauseRow(
        step_id=cause.step_id,
        step=cause.step,
        cause_id=cause.cause_id,
        cause=cause.cause,
        kind=cause.kind,
        router=cause.router,
        said=None if cause.said is None else preview(cause.said, limit=PREVIEW_BYTES),
        text=cause.text,
        wrote=list(cause.wrote),
        depth=cause.depth,
    )


def changes_detail(found: StateDiff) -> ChangesDetail:
    """What a step changed, with the graph's reducers applied."""
    return ChangesDetail(
        title=found.title,
        changes=[_change(one) for one in found.changes[:_CHANGES]],
        n_more=max(len(found.changes) - _CHANGES, 0),
        unknown=list(found.unknown),
    )


def _change(change: Change) -> ChangeRow:
    return ChangeRow(
        op=change.op,
        path=pointer(change.path),
        where=shown_path(change.path),
        before=None if change.op == "add" else preview(python_value(change.before)),
        after=None if change.op == "remove" else preview(python_value(change.after)),
    )


def code_detail(code: Source) -> CodeDetail:
    """The code of a node, and of the routers after it."""
    return CodeDetail(
        node=code.node,
        qualname=code.qualname,
        text=code.text[:_TEXT],
        place=code.place,
        sha256=code.sha256,
        version=code.version,
        changed=code.changed,
        diff=code.diff()[:_TEXT] if code.changed else None,
        routers=[code_detail(one) for one in code.routers],
    )


def saved_insights(look: Look, engagement: Engagement) -> list[SavedInsight] | None:
    """Why each step ran and what it changed, for a page without a kernel; None where that would be too much."""
    if len(engagement.steps) > _SAVED_STEPS:
        return None
    found = [_saved(look, step.id, what, engagement) for step in engagement.steps for what in _SAVED]
    return found if _size(found) <= _SAVED_BYTES else None


def _saved(look: Look, step_id: str, what: InsightKind, engagement: Engagement) -> SavedInsight:
    try:
        found = insight(look, step_id, what, engagement)
        if what == "why":
            # The page follows the causes back by itself (js/src/why.ts): all chains in full would grow by the square.
            found = {**found, "before": [], "n_more": 0}
        return SavedInsight(step=step_id, what=what, value=found, error=None)
    except (NotRecordedError, LookupError) as error:
        return SavedInsight(step=step_id, what=what, value=None, error=str(error))


def _size(found: Sequence[SavedInsight]) -> int:
    from ..core.canonical import dumps

    return sum(len(dumps(dict(one))) for one in found)
