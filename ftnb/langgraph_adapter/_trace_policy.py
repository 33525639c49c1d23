"""LangGraph's `TracePolicy`: what a node's author wants to have recorded in the place of its input and its output.

LangGraph (1.2 and newer) applies it for LangChain's tracers only, and gives other handlers the values as they are. Like
there, it is about the node's own run: calls of models and tools inside it are events of their own.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

from ..core.marked import MARK, Marked
from ._runs import StepRun

logger = logging.getLogger("ftnb")
_told: set[str] = set()

Side = Literal["process_inputs", "process_outputs"]


def processor(step: StepRun, side: Side) -> Any:
    """The function that a step's node was given for its input or its output; None: none."""
    nodes = None if step.graph is None else getattr(step.graph.compiled, "nodes", None)
    node = nodes.get(step.name) if isinstance(nodes, dict) else None
    return getattr(getattr(node, "trace_policy", None), side, None)


def recorded(step: StepRun, side: Side, value: Any) -> Any:
    """What is to be recorded of `value`. A policy that raises meant to hide something: then nothing is."""
    process = processor(step, side)
    if process is None:
        return value
    try:
        return process(value)
    except Exception as error:
        why = f"trace_policy of {step.name} raised {type(error).__name__}"
        if why not in _told:
            _told.add(why)
            logger.warning("ftnb: %s; its values are not recorded (said once)", why)
        return Marked({MARK: "redacted", "why": why})
