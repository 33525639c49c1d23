"""What the steps of one run share, carried by a context variable so that one compiled graph serves all runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from .turns import StreamEvent


@dataclass(slots=True, eq=False)
class Run:
    """One turn of a workflow, seen from its steps."""

    llm: Any = None
    deps: Any = None
    sink: Callable[[StreamEvent], None] | None = None
    """Takes what happens, from any thread; None where nobody streams."""
    can_pause: bool = False


RUN: ContextVar[Run | None] = ContextVar("ftnb_workflow_run", default=None)
"""The run of the code that runs now; None in a workflow's graph that somebody invokes by themselves."""


def queue_sink(queue: asyncio.Queue[StreamEvent | None]) -> Callable[[StreamEvent], None]:
    """Puts events on `queue`, whose loop must be the running one; steps that are not async call it on other threads."""
    loop, home = asyncio.get_running_loop(), threading.get_ident()

    def put(event: StreamEvent) -> None:
        if threading.get_ident() == home:
            queue.put_nowait(event)
        else:
            loop.call_soon_threadsafe(queue.put_nowait, event)

    return put
