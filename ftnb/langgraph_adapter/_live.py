"""The graphs that ran in this process and still live, by engagement: what a replay runs again."""

from __future__ import annotations

import weakref
from collections import OrderedDict, deque
from typing import Any

_MAX_KNOWN = 20_000
_graphs: OrderedDict[str, weakref.ref[Any]] = OrderedDict()
_latest: deque[Any] = deque(maxlen=8)
"""Graphs that ran last, kept alive: what was built in passing, `build().invoke(…)`, can be replayed afterwards."""


def ran(engagement_id: str, compiled: Any) -> None:
    """A turn of the engagement ran `compiled`, which is kept alive only while it is among the latest."""
    if compiled is None:
        return
    try:
        _graphs[engagement_id] = weakref.ref(compiled)
    except TypeError:  # no weak references to it
        return
    if not any(known is compiled for known in _latest):
        _latest.append(compiled)
    _graphs.move_to_end(engagement_id)
    while len(_graphs) > _MAX_KNOWN:
        _graphs.popitem(last=False)


def let_go() -> None:
    """Keep no graph alive any more: recording has ended."""
    _latest.clear()


def graph_of(engagement_id: str) -> Any:
    """The graph that the engagement's latest turn ran on; None when it is gone, or ran elsewhere."""
    known = _graphs.get(engagement_id)
    return None if known is None else known()


def all_graphs() -> list[Any]:
    """Every graph that ran and still lives, each once, the latest first."""
    alive = {id(graph): graph for known in reversed(list(_graphs.values())) if (graph := known()) is not None}
    return list(alive.values())
