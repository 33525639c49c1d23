"""Running a fork, and going on with one that paused."""

from __future__ import annotations

from typing import Any

from ..core.errors import ReplayError
from ..store.base import LogStore
from ._branch import Branch
from ._fork import KEPT, MAX_KEPT, Forking


def fork(store: LogStore, engagement_id: str, step_id: str, **options: Any) -> Branch:
    """Go on from a step in this process; see `EngagementHandle.fork`. What the agent raises fails the branch."""
    forking = Forking(store, engagement_id, step_id, **options)
    with forking.start() as made:
        try:
            made.is_paused = forking.run.go()
        except Exception as error:
            made.error = error
    return _ended(made, forking)


async def afork(store: LogStore, engagement_id: str, step_id: str, **options: Any) -> Branch:
    """The async twin of `fork`: nodes run on the caller's event loop."""
    forking = Forking(store, engagement_id, step_id, **options)
    with forking.start() as made:
        try:
            made.is_paused = await forking.run.ago()
        except Exception as error:
            made.error = error
    return _ended(made, forking)


def resume(engagement_id: str, answer: Any) -> Branch:
    """Go on with a fork that paused, in the process that made it; see `EngagementHandle.resume`."""
    forking = _paused(engagement_id)
    with forking.go_on(engagement_id) as made:
        try:
            made.is_paused = forking.run.go(_answering(answer))
        except Exception as error:
            made.error = error
    return _ended(made, forking)


async def aresume(engagement_id: str, answer: Any) -> Branch:
    """The async twin of `resume`."""
    forking = _paused(engagement_id)
    with forking.go_on(engagement_id) as made:
        try:
            made.is_paused = await forking.run.ago(_answering(answer))
        except Exception as error:
            made.error = error
    return _ended(made, forking)


def _answering(answer: Any) -> Any:
    from langgraph.types import Command

    return None if answer is None else Command(resume=answer)  # a stop before or after a node asks nothing


def _paused(engagement_id: str) -> Forking:
    forking = KEPT.get(engagement_id)
    if forking is None or not forking.is_paused:
        raise ReplayError(
            f"engagement {engagement_id} is no fork that is paused in this process; an ordinary conversation goes on "
            "with its own graph: app.invoke(Command(resume=…), config)"
        )
    return forking


def _ended(made: Branch, forking: Forking) -> Branch:
    forking.is_paused = made.is_paused and made.error is None
    KEPT[made.engagement_id] = forking
    KEPT.move_to_end(made.engagement_id)
    while len(KEPT) > MAX_KEPT:
        KEPT.popitem(last=False)
    if made.cassette.refused:
        raise ReplayError(
            f"{made.cassette.refused[0]}. The branch {made.engagement_id} was recorded up to there"
        ) from made.error
    return made
