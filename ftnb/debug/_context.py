"""Which replay the running code belongs to, and in which node of it."""

from __future__ import annotations

from contextvars import ContextVar

from ..core._raised import raised
from ..langgraph_adapter.handler import HANDLER
from ._cassette import Cassette, Entry

CASSETTE: ContextVar[Cassette | None] = ContextVar("ftnb_cassette", default=None)
NODE: ContextVar[str] = ContextVar("ftnb_cassette_node", default="")
"""In a thread that a node began: that node."""


def here() -> Cassette | None:
    """The cassette of the replay that this code belongs to; in a pool's thread it comes with the handler."""
    return CASSETTE.get() or getattr(HANDLER.get(), "cassette", None)


def node_here() -> str:
    """The node that runs in this context, with the nodes around it; empty outside any."""
    from langchain_core.runnables.config import var_child_runnable_config

    about = (var_child_runnable_config.get() or {}).get("metadata") or {}
    namespace = str(about.get("langgraph_checkpoint_ns") or "")
    return "/".join(part.partition(":")[0] for part in namespace.split("|") if not part.isdigit()) or NODE.get()


def raise_recorded(entry: Entry) -> None:
    """Raise what a call raised then, if it did."""
    call = entry.call
    if call.error is not None and call.error_type is not None:
        raise raised(call.error_type, call.error)
