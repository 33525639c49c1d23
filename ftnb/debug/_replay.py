"""Calling one recorded node again, in this process, with what it was given."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.errors import InvalidArgumentError, ReplayError
from ..core.ids import new_id
from ..core.marked import Marked
from ..store.base import LogStore
from . import _edit
from ._branch import Branch, branch, visits_before
from ._called import bound, calling, function_of
from ._cassette import Cassette, Use
from ._fork import supersteps_before
from ._graphs import graph_with, keeps_state, live_graph
from ._options import cassette_of, configured
from ._rebuild import START, TASKS, Rebuild
from ._recorded import Recorded, Task, load
from ._restore import Missing, has_masked_text, restore
from ._run import Run, answers_of
from ._saver import live_saver

if TYPE_CHECKING:
    from ._result import Replay

_MAX_TIMES = 1_000
Open = Callable[[LogStore, str], Any]


class Replaying:
    """A replay that is checked and ready to run, as often as wanted."""

    def __init__(
        self,
        store: LogStore,
        engagement_id: str,
        step_id: str,
        *,
        edit: _edit.Edit | None = None,
        graph: Any = None,
        use: Use = "recorded",
        model: Any = None,
        times: int = 1,
        safe_tools: Sequence[Any] | str = (),
        allow_live: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
        context: Any = None,
        allow_masked: bool = False,
    ) -> None:
        if type(times) is not int or not 1 <= times <= _MAX_TIMES:
            raise InvalidArgumentError(f"times is how often, from 1 to {_MAX_TIMES}; got {times!r}")
        self.store, self.times, self.use = store, times, use
        self.recorded = load(store, engagement_id)
        self.task = self.recorded.task(step_id)
        self.root = live_graph(self.recorded, graph)
        self.graph = graph_with(self.root, self.recorded, _holder(self.recorded, self.task))
        if self.task.visit > 1 and keeps_state(self.graph, self.task.name):
            raise ReplayError(
                f"the graph inside {self.task} goes on from where its last run ended (checkpointer=True), which one "
                "step does not tell; replay the steps inside it"
            )
        self._allow_masked = allow_masked
        self.changes: dict[str, Any] = {}
        self._config, self._context = configured(self.recorded, config), context
        self._cassette: Callable[[], Cassette] = lambda: cassette_of(self.recorded, use, safe_tools, model, allow_live)
        self._cassette()
        self._edit = edit
        self._function = function_of(self.root, self.recorded, self.task) if self.task.is_called else None
        self.input = self._given()

    # --- what it is given ---

    def _given(self) -> Any:
        """The recorded input, edited. Raises ReplayError, InvalidArgumentError."""
        task = self.task
        if task.state is None:
            why = "was redacted from the record" if task.withheld else "was not captured"
            raise ReplayError(f"the input of step {task} {why}, so it cannot be run again; fork at a step before it")
        value = self.recorded.value(task.state)
        if isinstance(value, Marked) and isinstance(value.get("data"), dict) and not task.is_sent:
            value = value["data"]  # a state that is a model: its channels are its fields
        if not isinstance(value, dict) or isinstance(value, Marked):
            return self._other(value)
        self.changes = self._checked(_edit.changes(self._edit, _readable(value), "edit"), value)
        given = {key: self._live(item, key) for key, item in value.items() if key not in self.changes}
        return {**given, **self.changes}

    def _checked(self, given: dict[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
        if self._function is None:
            return _edit.checked(given, self.graph, self.task.name, value, "edit")
        unknown = [key for key in given if key not in value]
        if unknown:
            known = ", ".join(map(str, value)) or "none"
            raise InvalidArgumentError(
                f"edit names {unknown[0]!r}, which is no argument of the task; arguments: {known}"
            )
        return given

    def _other(self, value: Any) -> Any:
        """An input that is no mapping: an edit takes its place."""
        if self._edit is None:
            return self._live(value, "")
        if isinstance(value, Marked) and isinstance(self._edit, Mapping) and isinstance(value.get("data"), dict):
            data = {**value["data"], **self._edit}
            unknown = set(self._edit) - set(value["data"])
            if unknown:
                known = ", ".join(value["data"])
                raise InvalidArgumentError(f"edit names {sorted(unknown)[0]!r}; the {value['type']} has: {known}")
            self.changes = dict(self._edit)
            return self._live(Marked({**value, "data": data}), "")
        self.changes = {"(input)": True}
        return self._edit(self._live(value, "")) if callable(self._edit) else self._edit

    def _live(self, value: Any, key: str) -> Any:
        if not self._allow_masked and has_masked_text(value):
            raise ReplayError(
                f"the input of step {self.task} holds masked text ([redacted: …]){f' under {key!r}' if key else ''}, "
                "so it is not what the node was given; give the real one with edit={…}, or pass allow_masked=True"
            )
        try:
            return restore(value, key)
        except Missing as error:
            hint = f"edit={{{key!r}: …}}" if key else "edit=…"
            raise ReplayError(
                f"the input of step {self.task} cannot be had back: {error}. Give it with {hint}"
            ) from None

    # --- the graph that runs it ---

    def prepare(self) -> Run:
        """A graph of this one node, at a checkpoint that holds its input."""
        saver, thread_id = live_saver(), self.recorded.thread_id or new_id()
        if self._function is not None:
            args, kwargs = bound(self._function, self.input, self.task)
            outer = _holder(self.recorded, self.task)
            graph = calling(self.root, outer.name, self._function, args, kwargs, saver)
            run = Run(graph, saver, thread_id, self._config, self._context, begins_with=self.input)
        else:
            graph = self._alone(saver)
            self._checkpoint(graph).save(saver, _config(thread_id), max(self.task.superstep or 1, 1))
            run = Run(graph, saver, thread_id, self._config, self._context, one_superstep=True)
        if self.use != "live" and self.task.status != "waiting":
            run.answers = answers_of(self.recorded, self.task)
        return run

    def _alone(self, saver: Any) -> Any:
        name, nodes = self.task.name, self.graph.nodes
        node = nodes[name]
        if self.task.is_sent:
            triggers = []
        else:
            own = f"branch:to:{name}"
            triggers = [own] if own in self.graph.channels else list(node.triggers)
        alone = node.copy({"triggers": triggers, "cache_policy": None})
        # What it leads to is scheduled and never run; in a graph with triggers of its own making, anything might be.
        kept = {**nodes, name: alone} if START in nodes else {name: alone}
        led: dict[str, list[str]] = {}
        for key, one in kept.items():
            for channel in one.triggers:
                led.setdefault(channel, []).append(key)
        quiet = {"interrupt_before_nodes": (), "interrupt_after_nodes": ()}
        return self.graph.copy(
            update={"nodes": kept, "trigger_to_nodes": led, "checkpointer": saver, "cache": None, **quiet}
        )

    def _checkpoint(self, graph: Any) -> Rebuild:
        from langgraph.types import Send

        made = Rebuild(graph, self.recorded)
        task, node = self.task, graph.nodes[self.task.name]
        channels = {name for name, spec in graph.channels.items() if hasattr(spec, "from_checkpoint")}
        made.edit(self._around(channels))
        if task.is_sent:
            made.edit({TASKS: [Send(task.name, self.input)]})
            return made
        if isinstance(self.input, dict) and "__root__" not in channels and not isinstance(node.channels, str):
            made.edit({key: item for key, item in self.input.items() if key in channels})
        elif "__root__" in channels:
            made.edit({"__root__": self.input})
        else:
            names = [node.channels] if isinstance(node.channels, str) else list(node.channels)
            made.edit({names[0]: self.input})
        missing = [name for name in node.triggers if name in channels and not made.channels[name].is_available()]
        made.edit({name: _nothing(graph.channels[name]) for name in missing if name.startswith("branch:to:")})
        return made

    def _around(self, channels: set[str]) -> dict[str, Any]:
        """The rest of the state, which a router may read beside what the node is given."""
        routers = getattr(getattr(self.graph, "builder", None), "branches", None) or {}
        if self.task.name not in routers and not self.task.is_sent:
            return {}
        try:
            return supersteps_before(self.recorded, self.graph, self.task).values()
        except ReplayError:  # the node itself does not need it
            return {}

    def start(self) -> Any:
        """The context of one run, recorded as a branch."""
        return branch(
            self.store,
            self.recorded,
            self.root,
            self._cassette(),
            kind="replay",
            task=self.task,
            visits=_as_alone(visits_before(self.recorded, self.task, ()), self.task),
            details={"edited": sorted(map(str, self.changes)), "use": self.use},
        )


def replay(store: LogStore, engagement_id: str, step_id: str, opened: Open, **options: Any) -> Replay:
    """Run a step again in this process; see `StepHandle.replay`. `opened` makes the handle of a branch."""
    replaying = Replaying(store, engagement_id, step_id, **options)
    made: list[tuple[Branch, float]] = []
    for _ in range(replaying.times):
        run = replaying.prepare()
        begun = time.perf_counter()
        with replaying.start() as one:
            try:
                one.is_paused = run.go(run.begins_with)
            except Exception as error:
                one.error = error
        made.append((one, (time.perf_counter() - begun) * 1000))
        _raise_refused(one)
    return _result(replaying, made, opened)


async def areplay(store: LogStore, engagement_id: str, step_id: str, opened: Open, **options: Any) -> Replay:
    """The async twin of `replay`: the node runs on the caller's event loop."""
    replaying = Replaying(store, engagement_id, step_id, **options)
    made: list[tuple[Branch, float]] = []
    for _ in range(replaying.times):
        run = replaying.prepare()
        begun = time.perf_counter()
        with replaying.start() as one:
            try:
                one.is_paused = await run.ago(run.begins_with)
            except Exception as error:
                one.error = error
        made.append((one, (time.perf_counter() - begun) * 1000))
        _raise_refused(one)
    return _result(replaying, made, opened)


def _result(replaying: Replaying, made: list[tuple[Branch, float]], opened: Open) -> Replay:
    from ._result import Replay

    return Replay(replaying.store, replaying.recorded, replaying.task, made, opened)


def _raise_refused(made: Branch) -> None:
    if made.cassette.refused:
        raise ReplayError(f"{made.cassette.refused[0]}. The branch {made.engagement_id} was recorded up to there")


def _holder(recorded: Recorded, task: Task) -> Task:
    """The task whose graph is to be looked at: the one that called it, for a task of the functional API."""
    while task.is_called and task.parent_id is not None:
        task = recorded.task(task.parent_id)
    return task


def _as_alone(visits: dict[tuple[str, str], int], task: Task) -> dict[tuple[str, str], int]:
    """A step inside another runs at the top of its branch."""
    return {**visits, ("", task.name): task.visit - 1} if not task.is_called else visits


def _readable(value: Mapping[str, Any]) -> dict[str, Any]:
    """What an edit that is a function is given: live values, and those that cannot be had back as they are read."""
    made: dict[str, Any] = {}
    for key, item in value.items():
        try:
            made[key] = restore(item)
        except Missing:
            made[key] = item
    return made


def _nothing(channel: Any) -> Any:
    """The content of a control channel that has been written to; that of a deferred node also says that all ended."""
    return (None, True) if type(channel).__name__ == "LastValueAfterFinish" else None


def _config(thread_id: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
