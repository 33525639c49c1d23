"""The LangGraph side: callbacks in, records out. Importing this package imports neither LangGraph nor LangChain."""

from __future__ import annotations

from .runner import run_instrumented
from .state import TraceState
from .topology import read_topology

__all__ = ["TraceState", "read_topology", "run_instrumented"]
