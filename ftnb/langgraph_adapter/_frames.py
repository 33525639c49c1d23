"""Looking at the graph whose run begins or ends: at its own frame, which LangChain's callbacks do not show.

The callback runs inside the graph's `stream` or `astream`, a few frames up. Reading its locals costs two microseconds,
once per graph run, and tells which graph it is, its config and saver, and, at the end, how its loop stands.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import CodeType, FrameType
from typing import Any

from ..core.freeze import freeze
from . import _scope
from ._clock import offset_ns
from ._events import Facts, GraphStart
from ._identity import probe
from ._scope import SCOPE

_MAX_HOPS = 5
"""Frames between a callback and the graph's own `stream` or `astream`: 3 when sync, 4 when async."""
_OWN_METADATA = ("langgraph_", "ls_", "lc_", "checkpoint_")
_FROM_CONFIGURABLE = {"thread_id", "checkpoint_id", "checkpoint_ns", "task_id", "run_id", "assistant_id", "graph_id"}
_codes: dict[int, CodeType] = {}
"""Of `stream` and `astream`, by identity: the hash of a code object is made of all that it consists of, each time."""


def _known_codes() -> dict[int, CodeType]:
    if not _codes:
        pregel: Any = sys.modules.get("langgraph.pregel")
        kind = getattr(pregel, "Pregel", None)
        for name in ("stream", "astream"):
            code = getattr(getattr(kind, name, None), "__code__", None)
            if code is not None:
                _codes[id(code)] = code
    return _codes


def graph_frame() -> FrameType | None:
    """The frame of the graph's `stream` that called the callback manager; None for any other run."""
    codes = _codes or _known_codes()
    frame: FrameType | None = sys._getframe(2)
    for _ in range(_MAX_HOPS):
        if frame is None:
            return None
        if id(frame.f_code) in codes:
            return frame
        frame = frame.f_back
    return None


def graph_start(frame: FrameType | None, inputs: Any) -> GraphStart:
    """What can be seen of a graph as its run begins, before it has looked at its checkpoints."""
    scope = SCOPE.get()
    start = GraphStart(scope=scope, labels=_scope.cell_labels if scope is None else None, offset_ns=offset_ns())
    if inputs is None:
        start.input_kind = "resume"
    elif type(inputs).__name__ == "Command":
        start.resume = inputs.resume
        start.input_kind = "command" if inputs.resume is None else "resume"
    if frame is not None:
        seen = frame.f_locals
        config = seen.get("config") or {}
        configurable = config.get("configurable") or {}
        start.compiled = seen.get("self")
        start.metadata = user_metadata(config.get("metadata"), configurable)
        # LangGraph before 1.1 decides on the saver only after its callbacks.
        saver = seen["checkpointer"] if "checkpointer" in seen else getattr(start.compiled, "checkpointer", None)
        start.thread = probe(saver, configurable)
    return start


def user_metadata(given: Mapping[str, Any] | None, configurable: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata that the user gave, without what LangChain and LangGraph add of their own."""
    kept: dict[str, Any] = {}
    for key, value in (given or {}).items():
        if str(key).startswith(_OWN_METADATA):
            continue
        if key in _FROM_CONFIGURABLE and configurable.get(key) == value:
            continue
        kept[key] = value
    return freeze(kept)[0]  # type: ignore[no-any-return]


def facts_of(seen: Any) -> Facts | None:
    """How a graph's loop stands as its run ends, by its frame or the loop; None when it never got that far."""
    loop = seen.f_locals.get("loop") if isinstance(seen, FrameType) else seen
    if loop is None:
        return None
    checkpoint = getattr(loop, "checkpoint", None) or {}
    status, upcoming = str(getattr(loop, "status", "")), ()
    if status.startswith("interrupt"):
        # LangGraph before 1.1 still has the finished tasks here after `interrupt_after`.
        tasks = getattr(loop, "tasks", {}).values()
        upcoming = tuple(dict.fromkeys(task.name for task in tasks if not task.writes))
    return Facts(status, checkpoint.get("id"), upcoming)
