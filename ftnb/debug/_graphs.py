"""The live graph that a recorded engagement is run again on: given, or found in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..core.errors import InvalidArgumentError, ReplayError
from ..core.model import Topology
from ..langgraph_adapter import _live
from ..langgraph_adapter.topology import read_topology
from ._recorded import Recorded, Task

_MAX_DEPTH = 8


def live_graph(recorded: Recorded, graph: Any = None) -> Any:
    """The compiled graph to run `recorded` again on.

    Without `graph`: the one that it ran on, or the one of today where the notebook has defined it anew: a graph in
    `__main__` with the same nodes and edges takes the place of one that only lives on in a variable of old. Raises
    ReplayError when there is none, or several; InvalidArgumentError when `graph` is none.
    """
    if graph is not None:
        return _compiled(graph)
    wanted = _topology(recorded)
    ran = _live.graph_of(recorded.id) or (_live.graph_of(recorded.parent_id) if recorded.parent_id else None)
    named = _in_main()
    if ran is not None and any(one is ran for one in named):
        return ran
    like = [one for one in named if _same(one, wanted)]
    if len(like) == 1:
        return like[0]
    if ran is not None:
        return ran
    known = like or [one for one in _live.all_graphs() if _same(one, wanted)]
    if len(known) == 1 or (known and not like):
        return known[0]
    if known:
        raise ReplayError(
            f"{len(known)} graphs in this process have the nodes and edges of engagement {recorded.id}; say which one: "
            "graph=app"
        )
    nodes = ", ".join(sorted(node.name for node in wanted.nodes)) or "none known"
    raise ReplayError(
        f"the graph of engagement {recorded.id} ({recorded.name!r}, nodes: {nodes}) is not in this process; run the "
        "cells that define it, or pass it: graph=app"
    )


def _compiled(graph: Any) -> Any:
    if hasattr(graph, "nodes") and hasattr(graph, "channels") and hasattr(graph, "stream"):
        return graph
    if hasattr(graph, "run_sync") and hasattr(graph, "compile"):  # a Workflow
        return graph.compile()
    hint = "; compile it first: graph=builder.compile()" if hasattr(graph, "compile") else ""
    raise InvalidArgumentError(f"graph must be a compiled LangGraph, got {type(graph).__name__}{hint}")


def _topology(recorded: Recorded) -> Topology:
    shape = recorded.value(recorded.topology)
    try:
        return Topology.model_validate(shape or {})
    except ValueError:  # a damaged record: then no graph is like it
        return Topology()


def _same(graph: Any, wanted: Topology) -> bool:
    if not wanted.nodes:
        return False
    try:
        found = read_topology(graph)
    except Exception:  # what cannot be read is not the one
        return False
    return {node.name for node in found.nodes} == {node.name for node in wanted.nodes} and (
        {(edge.source, edge.target, edge.condition) for edge in found.edges}
        == {(edge.source, edge.target, edge.condition) for edge in wanted.edges}
    )


def _in_main() -> list[Any]:
    """Compiled graphs that the notebook or script has names for, each once."""
    pregel = getattr(sys.modules.get("langgraph.pregel"), "Pregel", None)
    names: Mapping[str, Any] = getattr(sys.modules.get("__main__"), "__dict__", {})
    # IPython keeps results in names such as `_`, `_7` and `Out`; an old graph lives on there.
    values = [value for name, value in list(names.items()) if not name.startswith("_")]
    return list({id(one): one for one in values if pregel is not None and isinstance(one, pregel)}.values())


# --- inside a graph ---


def graph_with(root: Any, recorded: Recorded, task: Task) -> Any:
    """The graph that `task` is a node of: `root` itself, or one inside. Raises ReplayError when it has none."""
    graph = root
    for outer in outer_tasks(recorded, task):
        node = _node(graph, outer)
        inner = [one for one in getattr(node, "subgraphs", None) or () if task_names(recorded, outer) <= set(one.nodes)]
        if not inner:
            raise ReplayError(
                f"step {task} ran in a graph inside node {outer.name!r}, and today's node {outer.name!r} has no graph "
                f"with its nodes ({', '.join(sorted(task_names(recorded, outer)))}); if the function builds that graph "
                f"when it is called, replay the step {outer.full!r} around it"
            )
        graph = inner[0]
    _node(graph, task)
    return graph


def _node(graph: Any, task: Task) -> Any:
    node = graph.nodes.get(task.name)
    if node is None:
        known = ", ".join(sorted(name for name in graph.nodes if name != "__start__"))
        raise ReplayError(
            f"today's graph has no node {task.name!r}; its nodes: {known}. It no longer matches what was recorded: "
            "pass the graph that ran (graph=…), or fork at a step whose node is still there"
        )
    return node


def task_names(recorded: Recorded, outer: Task) -> set[str]:
    """Names of the nodes that ran right inside a step."""
    return {task.name for task in recorded.inside(outer.step_id) if not task.is_called}


def outer_tasks(recorded: Recorded, task: Task) -> list[Task]:
    """The tasks that `task` lies in, the outermost first."""
    found: list[Task] = []
    while task.parent_id is not None and task.parent_id in recorded.by_id:
        task = recorded.by_id[task.parent_id]
        found.append(task)
    return found[::-1]


def keeps_state(graph: Any, name: str) -> bool:
    """Whether a graph inside that node goes on, each time that it runs, from where it ended the last time."""
    return any(one.checkpointer is True for one in getattr(graph.nodes.get(name), "subgraphs", None) or ())


def is_async_only(graph: Any, depth: int = 0) -> bool:
    """Whether some node of the graph has only an async function, so that `invoke` cannot run it."""
    for node in graph.nodes.values():
        for part in _parts(getattr(node, "bound", None)):
            if getattr(part, "afunc", None) is not None and getattr(part, "func", None) is None:
                return True
        if depth < _MAX_DEPTH and any(is_async_only(one, depth + 1) for one in getattr(node, "subgraphs", None) or ()):
            return True
    return False


def _parts(bound: Any) -> Iterator[Any]:
    yield bound
    steps: Iterable[Any] = getattr(bound, "steps", None) or ()
    yield from steps
