"""Conversations that wait: whose engagement a thread is, what it waits for, and that one turn runs at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from ..core.errors import ResumeError, ThreadBusyError
from ..core.model import EngagementStatus, Topology
from ..langgraph_adapter._drive import Resumed, read
from ..store.base import Store

THREAD_META_KEY = "ft_thread_id"
"""Metadata key that joins an engagement to its thread."""
ENGAGEMENT_KEY = "ftnb_engagement"
"""Key under which LangGraph keeps, with each checkpoint, the engagement whose turn wrote it."""
_ENDED = {EngagementStatus.COMPLETED, EngagementStatus.ABANDONED, EngagementStatus.FAILED}
_GRACE_S = 0.05
"""How long a turn that was just given up may take to end."""


@dataclass(slots=True)
class Pause:
    """One step that waits."""

    interrupt_id: str
    awaiting: str | None
    payload: Any


def pauses(interrupts: Any) -> list[Pause]:
    """What LangGraph's interrupts wait for, in order."""
    return [Pause(one.id, *_said(one.value)) for one in interrupts or ()]


def _said(value: Any) -> tuple[str | None, Any]:
    # A step may also call LangGraph's `interrupt` itself, with any value.
    if isinstance(value, Mapping) and value.keys() == {"awaiting", "payload"}:
        return value["awaiting"], value["payload"]
    return None, value


async def parked(compiled: Any, config: Any) -> tuple[list[Pause], str | None]:
    """The pauses of a thread, and the engagement whose turn wrote its latest checkpoint (None: not known)."""
    snapshot = await compiled.aget_state(config)
    waiting = [one for task in snapshot.tasks for one in task.interrupts]
    return pauses(waiting), (snapshot.metadata or {}).get(ENGAGEMENT_KEY)


def resumable(store: Store, thread_id: str, engagement_id: str | None, topology: Topology) -> tuple[str, Resumed]:
    """The engagement that a thread goes on with. Raises ResumeError when there is none."""
    if engagement_id is None:
        found = store.list_engagements(where={THREAD_META_KEY: thread_id})
        engagement_id = next((one.id for one in reversed(found) if one.status not in _ENDED), None)
    found_there = None if engagement_id is None else read(store, engagement_id, topology)
    if engagement_id is None or found_there is None:
        raise _nothing(thread_id, f"no engagement of it is in {store!r}; start it first")
    status, resumed = found_there
    if status in _ENDED:
        raise _nothing(thread_id, f"its engagement {engagement_id} is {status.value}; start a new one")
    return engagement_id, resumed


def _nothing(thread_id: str, why: str) -> ResumeError:
    return ResumeError(
        f"thread {thread_id!r} has nothing to resume: {why}", reason="no_resumable_engagement", thread_id=thread_id
    )


def choose(waiting: list[Pause], thread_id: str, expected: str | None) -> Pause:
    """The pause to answer: the one that is expected, or the first. Raises ResumeError."""
    if not waiting:
        raise ResumeError(
            f"thread {thread_id!r} does not wait for anything now: its last turn ended before a pause, or its state is "
            "in another checkpointer (one in memory is lost with its process)",
            reason="not_paused",
            thread_id=thread_id,
        )
    if expected is None:
        return waiting[0]
    for pause in waiting:
        if pause.awaiting == expected:
            return pause
    there = ", ".join(repr(pause.awaiting) for pause in waiting)
    raise ResumeError(
        f"thread {thread_id!r} waits for {there}, not for {expected!r}; nothing was delivered",
        reason="awaiting_mismatch",
        thread_id=thread_id,
    )


_running: WeakKeyDictionary[Any, dict[str, object]] = WeakKeyDictionary()


@asynccontextmanager
async def only_turn(checkpointer: Any, thread_id: str) -> AsyncIterator[None]:
    """Hold a thread for one turn of this process. Raises ThreadBusyError when another turn has it."""
    threads = _running.setdefault(checkpointer, {})
    mine = object()
    # A stream that its reader just left is closed by the loop a moment later.
    deadline = asyncio.get_running_loop().time() + _GRACE_S
    while threads.setdefault(thread_id, mine) is not mine:
        if asyncio.get_running_loop().time() > deadline:
            raise ThreadBusyError(
                f"another turn of thread {thread_id!r} is running; wait until it pauses or ends",
                reason="not_paused",
                thread_id=thread_id,
            )
        await asyncio.sleep(_GRACE_S / 10)
    try:
        yield
    finally:
        threads.pop(thread_id, None)
