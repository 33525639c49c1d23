"""Running a graph with a recorder of its own; whatever records the process beside it stays silent for that run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any

from ..recorder import Recorder
from . import _events as events
from . import _install
from ._capture import Capture
from ._clock import offset_ns
from ._place import PLACE, Place, Strand, run_around
from ._scope import SCOPE, Labels, Scope
from .topology import read_topology


async def run_instrumented(
    compiled: Any,
    input: Any,
    recorder: Recorder,
    *,
    name: str = "engagement",
    metadata: Mapping[str, Any] | None = None,
    global_nodes: Iterable[str] = (),
    node_tools: Mapping[str, Sequence[str]] | None = None,
    goal_nodes: Iterable[str] = (),
    config: Any = None,
) -> str:
    """Run `compiled` on `input` to its end, record it as one engagement, and return the engagement's id.

    Entering one of `global_nodes` is an intent switch; `node_tools` names the tools of nodes where the graph does not;
    when none of `goal_nodes` was reached, the engagement is abandoned. `config` is LangGraph's. What the agent raises
    is passed on after the engagement ended as failed.
    """
    labels = Labels.of(name, metadata, goal_nodes, global_nodes, node_tools)
    with recording(recorder, labels, compiled) as scope:
        await compiled.ainvoke(input, config)
    return scope.engagement_id


@contextmanager
def recording(recorder: Recorder, labels: Labels, compiled: Any = None, scope: Scope | None = None) -> Iterator[Scope]:
    """Record every root run of this context as a turn of one engagement, into `recorder`.

    `scope` None: the engagement is a new one, and ends with the block. The context is that of `contextvars`: in an
    async generator, which shares its caller's, enter it around each step of the run, never around a `yield`.
    """
    from langchain_core.tracers import context as _  # noqa: F401  (so that the hook is installed now)

    from .handler import HANDLER, Handler

    if scope is None:
        topology = None
        if compiled is not None:
            topology = read_topology(compiled, global_nodes=labels.global_nodes, node_tools=labels.node_tools)
        scope = Scope(labels, topology)
    capture = Capture(recorder)
    _install.acquire()
    handler = HANDLER.set(Handler(capture))
    try:
        with scoped(capture, scope):
            yield scope
    finally:
        HANDLER.reset(handler)
        _install.release()


@contextmanager
def scoped(capture: Capture, scope: Scope) -> Iterator[Scope]:
    """Make the root runs of this context turns of `scope`'s engagement, which begins here and ends with the block."""
    capture.send(events.SCOPE_OPEN, perf_counter_ns(), offset_ns(), scope)
    token, before = SCOPE.set(scope), PLACE.get()
    PLACE.set(Place(scope, None, run_around(), Strand(), None))
    error: BaseException | None = None
    try:
        yield scope
    except BaseException as raised:
        error = raised
        raise
    finally:
        SCOPE.reset(token)
        PLACE.set(before)
        capture.send(events.SCOPE_CLOSE, perf_counter_ns(), offset_ns(), scope, error)
