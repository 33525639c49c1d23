"""A store in memory with a few runs of the example agent, to look at."""

from __future__ import annotations

from .. import session
from ..core._optional import require
from ..store.sqlite import SQLiteStore


def demo_store(n: int = 25) -> SQLiteStore:
    """Record `n` runs of the house-search agent. Raises MissingPackageError without LangGraph."""
    require("langgraph", feature="the demo", extra="langgraph")
    from ..examples.house_search import GLOBAL_NODES, GOAL_NODES, build_graph, make_users, run_one

    store = SQLiteStore()
    graph = build_graph()
    session.start(store)
    try:
        for user in make_users(n, seed=9):
            try:
                with session.record(
                    "house_search", metadata=user.metadata, goal_nodes=GOAL_NODES, global_nodes=GLOBAL_NODES
                ):
                    run_one(graph, user)
            except (ZeroDivisionError, ConnectionError):
                pass  # these runs fail on purpose
    finally:
        session.stop()
    return store
