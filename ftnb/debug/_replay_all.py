"""Recorded engagements against the graph of today, with what models, tools and people answered then."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from ..core._progress import Progress
from ..core.errors import InvalidArgumentError, ReplayError
from ..core.model import Topology
from ..langgraph_adapter.topology import read_topology
from ..store._url import open_store
from ..store.base import LogStore
from ._branch import KIND
from ._cassette import Cassette
from ._differ import divergences
from ._graphs import is_async_only, live_graph
from ._observe import Key, Observer, Ran, observed, observing
from ._options import configured
from ._outcome import Outcome, ReplayedAll
from ._pytest_writer import read_run
from ._rebuild import START
from ._recorded import Recorded, Task, load_many
from ._restore import Missing, restore
from ._run import Run, answers_of
from ._saver import live_saver
from ._serving import serving

CONTROL = ("branch:", "join:", "__")


def replay_all(
    traces: Any,
    graph: Any = None,
    *,
    use: Literal["recorded", "live"] = "recorded",
    where: Mapping[str, Any] | None = None,
    edit: Mapping[str, Any] | None = None,
    ignore: Collection[str] = (),
    progress: bool | Callable[[int, int], Any] = True,
    config: Mapping[str, Any] | None = None,
    context: Any = None,
) -> ReplayedAll:
    """Run recorded engagements again on today's code, and compare step by step. Nothing of it is recorded.

    `traces` are opened traces, a path, a store, engagement handles, or the file that `to_pytest` wrote; branches among
    them are left out. Without `graph` it is the one that ran. Models and tools are not called: each gives what is
    recorded for the same question; where none is, what was said at that place then, and the step is listed as
    divergent, with what changed (prompt, model, tool). `use="live"` calls models, and tools that are marked safe.

    `where` chooses engagements by metadata. `edit` maps ids of recorded tool calls (`event_id` of the events frame) to
    another result: what follows from it is listed. `ignore` names keys of the state that differ each time. `config`
    and `context` are LangGraph's. An interrupt of the cell ends it, and what is done stays.
    """
    if use not in ("recorded", "live"):
        raise InvalidArgumentError(f"use={use!r} is unknown here; known: recorded, live")
    if isinstance(ignore, str):
        raise InvalidArgumentError(f"ignore takes a list of keys, got one text; write ignore=[{ignore!r}]")
    runs, n_asked = chosen(traces, where)
    replayer = Replayer(graph, use=use, edit=edit, ignore=ignore, config=config, context=context)
    outcomes: list[Outcome] = []
    shown, is_whole, n_diverged = Progress(n_asked, progress), True, 0
    try:
        with replayer:
            for place, recorded in enumerate(runs, 1):
                if KIND not in recorded.metadata:
                    outcomes.append(replayer.replay(recorded))
                    n_diverged += bool(outcomes[-1].divergences)
                shown.at(place, f"replayed {place} of {n_asked}, {n_diverged} diverged")
    except KeyboardInterrupt:
        is_whole = False
    return ReplayedAll(outcomes, n_asked=n_asked, is_whole=is_whole)


def chosen(traces: Any, where: Mapping[str, Any] | None) -> tuple[Iterable[Recorded], int]:
    """The engagements that are meant, and how many they are."""
    if isinstance(traces, (str, PathLike)):
        path = Path(traces)
        if path.suffix == ".json":
            return [read_run(path)], 1
        traces = open_store(traces if isinstance(traces, str) else path)
    handles = list(traces) if isinstance(traces, (list, tuple)) else [traces] if hasattr(traces, "_store") else None
    if handles is not None:
        if not handles or not all(hasattr(one, "_store") for one in handles):
            raise InvalidArgumentError("give engagement handles: [tr.engagement(id), …]")
        if len({id(one._store) for one in handles}) > 1:
            raise InvalidArgumentError("the engagements are of several stores; replay one store at a time")
        return load_many(handles[0]._store, [one.id for one in handles]), len(handles)
    store = getattr(traces, "store", traces)
    if not isinstance(store, LogStore):
        raise InvalidArgumentError(
            f"replay_all takes opened traces (ftnb.open(…)), a path, a store; got {traces!r:.99}"
        )
    ids = [summary.id for summary in store.list_engagements(where)]
    return load_many(store, ids), len(ids)


class Replayer:
    """Replays engagements one after the other; models, tools and graphs are prepared once."""

    def __init__(
        self,
        graph: Any,
        *,
        use: Literal["recorded", "live"] = "recorded",
        edit: Mapping[str, Any] | None = None,
        ignore: Collection[str] = (),
        config: Mapping[str, Any] | None = None,
        context: Any = None,
    ) -> None:
        self._given, self._use, self._edit, self._ignore = graph, use, dict(edit or {}), ignore
        self._config, self._context = config, context
        self._prepared: dict[int, _Prepared] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Replayer:
        self._stack.enter_context(observing())
        # Held for the whole replay: installing the stand-ins for each engagement would be most of its cost.
        self._stack.enter_context(serving(Cassette(Recorded("", lambda _: None))))
        return self

    def __exit__(self, *about: Any) -> None:
        self._stack.__exit__(*about)

    def replay(self, recorded: Recorded) -> Outcome:
        """One engagement; what keeps it from being replayed is in the outcome, never raised."""
        try:
            prepared = self._prepare(live_graph(recorded, self._given))
            cassette = Cassette(recorded, self._use, assumes=self._use == "recorded", edits=self._edit)
            now = self._run(recorded, prepared, cassette)
        except (ReplayError, Missing) as error:
            return Outcome(recorded.id, recorded.name, [], str(error))
        moved = partial(_moved, recorded, prepared.topology)
        found = divergences(recorded, now, cassette, ignore=self._ignore, moved=moved)
        return Outcome(recorded.id, recorded.name, found, None, len(now))

    def _prepare(self, graph: Any) -> _Prepared:
        known = self._prepared.get(id(graph))
        if known is None:
            known = self._prepared[id(graph)] = _Prepared(graph)
        return known

    def _run(self, recorded: Recorded, prepared: _Prepared, cassette: Cassette) -> dict[Key, Ran]:
        turns = _turns(recorded)
        edited = next((task for task in recorded.tasks if task.edits), None)
        if edited is not None:
            raise ReplayError(f"the state was changed by update_state after {edited}, which is no part of a run")
        needs_saver = len(turns) > 1 or any(task.status == "waiting" for task in recorded.tasks)
        saver = live_saver() if needs_saver else None
        thread_id = recorded.thread_id or (recorded.id if needs_saver else None)
        run = Run(prepared.graph(saver), saver, thread_id, configured(recorded, self._config), self._context)
        run.is_async = prepared.is_async
        answers = answers_of(recorded, recorded.tasks[0]) if needs_saver else {}
        with observed(Observer()) as observer, serving(cassette):
            for first in turns:
                given = _input(recorded, first, prepared, run, answers)
                try:
                    run.once(given)
                except Exception:  # what the agent raised then it may raise now: its steps tell
                    pass
        return observer.tasks()


class _Prepared:
    """A graph, and what is asked of it for every engagement."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._bare = graph if getattr(graph, "checkpointer", None) is None else None
        self.topology = read_topology(graph)
        self.is_async = is_async_only(graph)
        self.has_start = START in graph.nodes

    def graph(self, saver: Any) -> Any:
        """The graph to run; without a saver where nothing has to be kept between runs."""
        if saver is not None:
            return self._graph.copy(update={"checkpointer": saver})
        if self._bare is None:
            self._bare = self._graph.copy(update={"checkpointer": None})
        return self._bare


def _turns(recorded: Recorded) -> list[Task]:
    """The first step of each turn."""
    found: dict[int, Task] = {}
    for task in recorded.tasks:
        if task.parent_id is None and task.superstep is not None:
            found.setdefault(task.turn, task)
    if not found:
        raise ReplayError(
            f"engagement {recorded.id} has no steps of a LangGraph graph recorded with its supersteps; it cannot be "
            "run as a whole, but single steps can: step.replay()"
        )
    return list(found.values())


def _input(recorded: Recorded, first: Task, prepared: _Prepared, run: Run, answers: dict[str, list[Any]]) -> Any:
    """What the run of a turn was given. Raises Missing."""
    if first.entry is not None:
        given: dict[str, Any] = {}
        for channel, *value in recorded.writes(first.entry, "the input"):
            if channel == "__root__":
                return restore(value[0] if value else None, "the input")
            if not str(channel).startswith(CONTROL):
                given[channel] = restore(value[0] if value else None, str(channel))
        return given
    if first.attempt > 1:
        return run.answer(answers)
    if not prepared.has_start:
        return restore(recorded.value(first.state), "the input")
    if run.thread_id is None or run.is_over():
        raise ReplayError(
            f"turn {first.turn} began with a Command, or at an older checkpoint (or the store did not keep up): what "
            "it was given is not on record"
        )
    return None


def _moved(recorded: Recorded, today: Topology) -> set[str]:
    """Nodes that are new or gone, or whose edges are declared otherwise today."""
    then = recorded.value(recorded.topology)
    try:
        known = Topology.model_validate(then or {})
    except ValueError:
        return set()
    if not known.nodes or known == today:
        return set()
    one, other = _edges(known), _edges(today)
    names = {node.name for node in known.nodes} ^ {node.name for node in today.nodes}
    return names | {source for source, *_ in one ^ other}


def _edges(topology: Topology) -> set[tuple[str, str, str | None, str]]:
    return {(edge.source, edge.target, edge.condition, edge.kind) for edge in topology.edges}
