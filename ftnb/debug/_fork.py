"""Going on with the whole graph from a recorded step, with the state edited."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import InvalidArgumentError, ReplayError
from ..core.ids import new_id
from ..store.base import LogStore
from . import _edit
from ._branch import KIND, branch, next_turn, visits_before
from ._cassette import USES, Use
from ._graphs import graph_with, keeps_state, live_graph, outer_tasks
from ._options import cassette_of, configured
from ._rebuild import TASKS, Rebuild, Superstep, supersteps
from ._recorded import Recorded, Task, load
from ._restore import has_masked_text
from ._run import Run, answers_of
from ._saver import live_saver

_PUSH = "__pregel_push"
_CHECKPOINTER = "__pregel_checkpointer"
MAX_KEPT = 50


class Forking:
    """A fork that is checked and ready to run."""

    def __init__(
        self,
        store: LogStore,
        engagement_id: str,
        step_id: str,
        *,
        state: _edit.Edit | None = None,
        graph: Any = None,
        use: Use = "recorded",
        model: Any = None,
        safe_tools: Sequence[Any] | str = (),
        allow_live: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
        context: Any = None,
        allow_masked: bool = False,
    ) -> None:
        self.store = store
        self._allow_masked = allow_masked
        self.recorded = load(store, engagement_id)
        self.task = self.recorded.task(step_id)
        self.origin: Forking | None = _origin(self.recorded)
        known = graph if self.origin is None or graph is not None else self.origin.user_graph
        self.user_graph: Any = live_graph(self.recorded, known)
        self.saver = live_saver()
        self.graph = self.user_graph.copy(update={"checkpointer": self.saver})
        self.use = use
        self.changes: dict[str, Any] = {}
        self.is_paused = False
        self.again: list[Task] = []
        """Recorded tasks, beside the step, that run again with it."""
        self._thread_id = self.recorded.thread_id or new_id()
        self._prepare(state)
        self.run = Run(self.graph, self.saver, self._thread_id, configured(self.recorded, config), context)
        self.run.answers = {} if use == "live" else answers_of(self.recorded, self.task, self.again)
        self.cassette = cassette_of(self.recorded, use, safe_tools, model, allow_live)

    # --- the checkpoints that it goes on from ---

    def _prepare(self, state: _edit.Edit | None) -> None:
        """Write the checkpoint of each graph around the step, the outermost first."""
        chain = [*outer_tasks(self.recorded, self.task), self.task]
        called = next((at for at, one in enumerate(chain) if one.is_called), None)
        if called is not None and state is not None:
            raise InvalidArgumentError(
                f"{self.task} was called by the code of {chain[called - 1].full!r}, which gives it its arguments; "
                f"replay it alone with other ones (step.replay(edit={{…}})), or fork at {chain[called - 1].full!r}"
            )
        for one in self.recorded.tasks:
            if one.parent_id is None and one.place < chain[0].place and keeps_state(self.user_graph, one.name):
                raise ReplayError(
                    f"the graph inside {one.full!r} keeps a state of its own between its runs (checkpointer=True), "
                    "which is not rebuilt; fork at its first run, or before, or replay single steps"
                )
        graphs = chain if called is None else chain[:called]
        namespace, task_id = "", ""
        for level, task in enumerate(graphs):
            graph = graph_with(self.user_graph, self.recorded, task)
            if level:
                namespace = self._inside(namespace, graphs[level - 1], task_id, graph, task)
            is_last = level == len(graphs) - 1
            config = self._config(namespace)
            rebuilt, step = self._rebuilt(graph, task)
            if is_last and state is not None:
                self._edit(rebuilt, graph, task, state)
            if not self._allow_masked:
                self._refuse_masked(rebuilt)
            saved = rebuilt.save(self.saver, config, step.number)
            if is_last and called is None:
                keys = {one.key for one in step.tasks}
                self.again += [one for one in self.recorded.tasks if one.key in keys]
                return
            scheduled = self._scheduled(graph, namespace)
            task_id = self._id_of(task, scheduled)
            self._keep(rebuilt, saved, [one for one in step.tasks if one.key != task.key], scheduled)
            if called is not None and is_last:
                self._keep_called(rebuilt, saved, task, task_id)

    def _config(self, namespace: str) -> dict[str, Any]:
        return {"configurable": {"thread_id": self._thread_id, "checkpoint_ns": namespace}}

    def _rebuilt(self, graph: Any, task: Task) -> tuple[Rebuild, Superstep]:
        rebuilt = Rebuild(graph, self.recorded)
        if self.origin is not None and task.parent_id is None:
            if self._from_saver(rebuilt, task, self.origin.saver, self.origin.run.thread_id):
                return rebuilt, Superstep(task.superstep or 0, self._beside(task))
            raise ReplayError(f"the checkpoint before {task} of the fork {self.recorded.id} was not kept")
        try:
            steps = supersteps(self.recorded.run_of(task))
            place = next(at for at, step in enumerate(steps) if any(one.key == task.key for one in step.tasks))
            rebuilt.before(steps, place)
        except ReplayError:
            saver = getattr(self.user_graph, "checkpointer", None)
            if task.parent_id is not None or not self._from_saver(rebuilt, task, saver, self.recorded.thread_id):
                raise
            return rebuilt, Superstep(task.superstep or 0, self._beside(task))
        return rebuilt, steps[place]

    def _beside(self, task: Task) -> list[Task]:
        same = [one for one in self.recorded.run_of(task) if (one.turn, one.superstep) == (task.turn, task.superstep)]
        return same or [task]

    def _from_saver(self, rebuilt: Rebuild, task: Task, saver: Any, thread_id: str | None) -> bool:
        """Take the checkpoint that the step began from out of a checkpointer, if it is there."""
        from langgraph.pregel._checkpoint import channels_from_checkpoint

        if not task.checkpoint_id or not thread_id or not hasattr(saver, "get_tuple"):
            return False
        place = {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": task.checkpoint_id}
        config: Any = {"configurable": place}
        try:
            found = saver.get_tuple(config)
        except Exception:  # a saver that is closed, or only async
            return False
        if found is None:
            return False
        channels: Any = channels_from_checkpoint
        try:
            made = channels(rebuilt.graph.channels, found.checkpoint, saver=saver, config=found.config)
        except TypeError:  # before LangGraph 1.2
            made = channels(rebuilt.graph.channels, found.checkpoint)
        seen = {node: dict(versions) for node, versions in found.checkpoint["versions_seen"].items()}
        versions = dict(found.checkpoint["channel_versions"])
        rebuilt.checkpoint = {**found.checkpoint, "versions_seen": seen, "channel_versions": versions}
        rebuilt.channels = made[0]
        rebuilt.version = saver.get_next_version
        return True

    def _refuse_masked(self, rebuilt: Rebuild) -> None:
        masked = next((name for name, value in rebuilt.values().items() if has_masked_text(value)), None)
        if masked is not None:
            raise ReplayError(
                f"the state before step {self.task} holds masked text ([redacted: …]) under {masked!r}, so it is not "
                "what it was; give the real one with state={…}, or pass allow_masked=True"
            )

    def _edit(self, rebuilt: Rebuild, graph: Any, task: Task, state: _edit.Edit) -> None:
        packet = rebuilt.value(task.state, f"what {task} was given") if task.is_sent else None
        current = {**rebuilt.values(), **packet} if isinstance(packet, dict) else rebuilt.values()
        given = _edit.changes(state, current, "state")
        keys = packet if isinstance(packet, dict) else ()
        self.changes = _edit.checked(given, graph, task.name, keys, "state")
        sent = {key: value for key, value in self.changes.items() if key in keys}
        plain = {key: value for key, value in self.changes.items() if key not in keys}
        if sent and packet is not None:
            plain[TASKS] = _resent(rebuilt, task, packet, sent)
        rebuilt.edit(plain)

    # --- tasks that do not run again ---

    def _scheduled(self, graph: Any, namespace: str) -> list[Any]:
        config = self._config(namespace)
        config["configurable"][_CHECKPOINTER] = self.saver
        return list(graph.copy(update={"checkpointer": self.saver}).get_state(config).tasks)

    def _id_of(self, task: Task, scheduled: Sequence[Any]) -> str:
        for one in scheduled:
            if one.name == task.name and (not task.is_sent or tuple(one.path[:2]) == tuple(task.path[:2])):
                return str(one.id)
        there = ", ".join(one.name for one in scheduled) or "nothing"
        raise ReplayError(
            f"after the recorded steps before it, today's graph would run {there}, not {task.name!r}; it no longer "
            "matches what was recorded: pass the graph that ran (graph=…), or fork at an earlier step"
        )

    def _keep(self, rebuilt: Rebuild, saved: Any, beside: Sequence[Task], scheduled: Sequence[Any]) -> None:
        """What ran beside an outer step, and had ended when the step inside began, is not run again."""
        for task in beside:
            if not self._had_ended(task):
                self.again.append(task)
            else:
                writes = rebuilt.writes_of(task.writes, task.update, f"what {task} wrote")
                self.saver.put_writes(saved, writes, self._id_of(task, scheduled))

    def _keep_called(self, rebuilt: Rebuild, saved: Any, outer: Task, outer_id: str) -> None:
        """Tasks that the code of `outer` called, and that had ended: their results are given again."""
        from binascii import unhexlify

        from langgraph.pregel._algo import _xxhash_str, task_path_str

        checkpoint = unhexlify(str(saved["configurable"]["checkpoint_id"]).replace("-", ""))
        namespace = str(saved["configurable"].get("checkpoint_ns") or "")
        own = f"{outer.name}:{outer_id}"
        inside = dict.fromkeys(self.recorded.attempts(outer.step_id), f"{namespace}|{own}" if namespace else own)
        for task in self.recorded.tasks:
            if not task.is_called or task.parent_id not in inside:
                continue
            name = f"{inside[task.parent_id]}|{task.name}"
            place = (str(task.superstep), task.name, _PUSH, task_path_str(task.path[1]), str(task.path[2]))
            task_id = _xxhash_str(checkpoint, name, *place)
            inside[task.step_id] = f"{name}:{task_id}"
            if self._had_ended(task):
                writes = rebuilt.writes_of(task.writes, task.update, f"what {task} returned")
                self.saver.put_writes(saved, writes, task_id)
            else:
                self.again.append(task)

    def _had_ended(self, task: Task) -> bool:
        return task.status == "completed" and task.end is not None and task.end < self.task.place

    # --- graphs inside nodes ---

    def _inside(self, namespace: str, outer: Task, outer_id: str, graph: Any, task: Task) -> str:
        """The namespace of the run, inside `outer`, that `task` belongs to; earlier ones there are ended runs."""
        if graph.checkpointer is False:
            raise ReplayError(
                f"the graph inside {outer.full!r} was compiled with checkpointer=False, so it cannot be taken up "
                f"in the middle; fork at {outer.full!r}, or replay the step alone"
            )
        name = outer.name if graph.checkpointer is True else f"{outer.name}:{outer_id}"
        base = f"{namespace}|{name}" if namespace else name
        for at, run in enumerate(self.recorded.runs(outer.step_id)):
            own = f"{base}|{at}" if at else base
            if task in run:
                return own
            self._ended_run(graph_with(self.user_graph, self.recorded, run[0]), run, own)
        raise ReplayError(f"step {task} lies in no graph run inside {outer}; the record is incomplete there")

    def _ended_run(self, graph: Any, run: list[Task], namespace: str) -> None:
        rebuilt = Rebuild(graph, self.recorded)
        steps = supersteps(run)
        rebuilt.before(steps, len(steps) - 1)
        rebuilt.apply(steps[-1])
        rebuilt.save(self.saver, self._config(namespace), steps[-1].number + 1)

    # --- running ---

    def start(self) -> Any:
        """The context in which it runs, recorded as a branch."""
        if self.use not in USES:
            raise InvalidArgumentError(f"use={self.use!r} is unknown; known: {', '.join(USES)}")
        reached = {one.full for one in self.recorded.tasks if one.end is not None and one.end < self.task.place}
        return branch(
            self.store,
            self.recorded,
            self.user_graph,
            self.cassette,
            kind="fork",
            task=self.task,
            visits=visits_before(self.recorded, self.task, self.again),
            details={"edited": sorted(self.changes), "use": self.use},
            goals=not reached & set(self.recorded.goals),
        )

    def go_on(self, engagement_id: str) -> Any:
        """The context in which it goes on after a pause, as the next turn of its branch."""
        return next_turn(self.store, self.recorded, self.user_graph, self.cassette, engagement_id)


KEPT: OrderedDict[str, Forking] = OrderedDict()
"""The latest forks of this process, by their engagement, with the checkpoints that they made."""


def _origin(recorded: Recorded) -> Forking | None:
    """The fork that made an engagement; None: it is no branch. Raises ReplayError."""
    kind = recorded.metadata.get(KIND)
    if kind == "replay":
        raise ReplayError(f"{recorded.id} is the replay of one step; fork the engagement {recorded.parent_id} there")
    if kind == "fork" and recorded.id not in KEPT:
        raise ReplayError(
            f"{recorded.id} is a fork, and the state that it began from is gone with the process that made it (or "
            f"{MAX_KEPT} forks later); fork the engagement {recorded.parent_id} again"
        )
    return KEPT[recorded.id] if kind == "fork" else None


def _resent(rebuilt: Rebuild, task: Task, packet: Mapping[str, Any], sent: Mapping[str, Any]) -> list[Any]:
    """The packets that wait to be worked on, with that of `task` edited."""
    from langgraph.types import Send

    place, packets = int(task.path[1]), list(rebuilt.channels[TASKS].get())
    packets[place] = Send(task.name, {**packet, **sent})
    return packets


def supersteps_before(recorded: Recorded, graph: Any, task: Task) -> Rebuild:
    """The channels of `graph` as they were when `task` began. Raises ReplayError."""
    steps, rebuilt = supersteps(recorded.run_of(task)), Rebuild(graph, recorded)
    rebuilt.before(steps, next(at for at, step in enumerate(steps) if any(one.key == task.key for one in step.tasks)))
    return rebuilt
