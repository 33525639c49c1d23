"""Workflows: steps declared once, compiled to a LangGraph graph, run many times, recorded always.

Importing this imports no LangGraph; building a `Workflow`'s graph does.
"""

from __future__ import annotations

from ..core.errors import ResumeError, ThreadBusyError, WorkflowError
from .context import StepContext
from .turns import StreamEvent, WorkflowTurn
from .workflow import Workflow

__all__ = [
    "ResumeError",
    "StepContext",
    "StreamEvent",
    "ThreadBusyError",
    "Workflow",
    "WorkflowError",
    "WorkflowTurn",
]
