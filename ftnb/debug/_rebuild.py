"""A graph's checkpoint before any recorded superstep, from what its tasks wrote: no node and no router runs.

LangGraph applies the writes of a superstep's tasks at its end; doing the same with the recorded writes gives the same
channels and versions, and so the same next tasks. These few functions of LangGraph are private; they are used here
alone, and only when somebody replays or forks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.canonical import Json
from ..core.errors import ReplayError
from ..core.marked import Marked
from ._recorded import Recorded, Task
from ._restore import Missing, restore

START, TASKS, INPUT = "__start__", "__pregel_tasks", "__input__"
Writes = list[tuple[str, Any]]


@dataclass(slots=True)
class Superstep:
    """Tasks that ran together, each once however often it was tried."""

    number: int
    tasks: list[Task] = field(default_factory=list)
    """The last attempt of each, in order of their start."""
    entry: Json = None
    """New input came before it."""
    is_fresh: bool = False
    """It began on an empty state."""
    begins: bool = False
    """A run began with it, rather than went on."""

    def add(self, task: Task) -> None:
        """A task, or another attempt of one."""
        self.tasks = [one for one in self.tasks if one.key != task.key] + [task]

    @property
    def is_done(self) -> bool:
        """Whether every task of it ended well, so that their writes were applied."""
        return all(task.status == "completed" for task in self.tasks)


def supersteps(tasks: Sequence[Task]) -> list[Superstep]:
    """The supersteps of one graph, over all its runs: `tasks` are its own, not those of graphs inside it.

    Raises ReplayError when the recording does not tell supersteps apart.
    """
    found: list[Superstep] = []
    for task in tasks:
        if task.is_called:
            continue
        if task.superstep is None:
            raise ReplayError(
                f"step {task} was recorded without LangGraph's supersteps (no tap on this LangGraph, or an imported "
                "trace), so the run cannot be taken up there; replay the step alone: step.replay()"
            )
        latest = found[-1] if found else None
        is_retry = latest is not None and task.attempt > 1 and any(one.key == task.key for one in latest.tasks)
        begins = task.entry is not None or (latest is not None and latest.tasks[0].turn != task.turn and not is_retry)
        if (
            latest is not None
            and latest.number == task.superstep
            and task.entry is None
            and not _is_fresh(task, begins)
        ):
            latest.add(task)
            continue
        is_first = latest is None
        found.append(
            Superstep(task.superstep, [task], task.entry, is_first or _is_fresh(task, begins), is_first or begins)
        )
    return found


def _is_fresh(task: Task, begins: bool) -> bool:
    """Whether the first step of a run began on an empty state: LangGraph numbers supersteps on in a thread."""
    return begins and task.superstep is not None and task.superstep <= (1 if task.entry is not None else 0)


class Rebuild:
    """The channels of one graph, brought forward superstep by superstep."""

    def __init__(self, graph: Any, recorded: Recorded) -> None:
        self.graph = graph
        self._recorded = recorded
        self.version: Callable[[Any, Any], Any] = _next_version
        self._reset()

    def _reset(self) -> None:
        from langgraph.pregel._checkpoint import channels_from_checkpoint, empty_checkpoint

        self.checkpoint: Any = empty_checkpoint()
        self.channels: Mapping[str, Any] = channels_from_checkpoint(self.graph.channels, self.checkpoint)[0]

    def before(self, steps: Sequence[Superstep], place: int) -> None:
        """Bring the channels to where superstep `steps[place]` begins. Raises ReplayError."""
        first = max(at for at in range(place + 1) if steps[at].is_fresh)
        self._reset()
        for at in range(first, place + 1):
            step = steps[at]
            edited = next((task for task in steps[at - 1].tasks if task.edits), None) if at > first else None
            if edited is not None:
                raise ReplayError(
                    f"the state was changed by update_state after {edited}; what that led to is known only to the "
                    "checkpointer that the graph had, which must still hold the thread"
                )
            left = [] if at == first else _unfinished(steps[at - 1])
            if step.entry is not None:
                self.enter(step, left)
            elif at == first or (step.begins and START not in self.graph.nodes):
                self._enter_plain(step, left)
            elif not steps[at - 1].is_done and not _is_handled(steps[at - 1]):
                raise ReplayError(
                    f"superstep {steps[at - 1].number} of engagement {self._recorded.id} did not end "
                    f"({', '.join(f'{task} {task.status}' for task in steps[at - 1].tasks)}), yet {step.tasks[0]} ran "
                    "after it; the record is incomplete there"
                )
            if at < place and (step.is_done or not steps[at + 1].begins):
                self.apply(step)

    def enter(self, step: Superstep, unfinished: Sequence[Any]) -> None:
        """Apply new input: LangGraph drops what was left to do, writes the input, and its start leads on."""
        writes = self.writes_of(step.entry, None, "the input")
        given = {channel: value for channel, value in writes if ":" not in channel and not channel.startswith("__")}
        self._apply([*unfinished, _task_writes((), INPUT, [(START, given)], ())])
        self._apply([_task_writes(("__pregel_pull", START), START, writes, (START,))])

    def _enter_plain(self, step: Superstep, unfinished: Sequence[Any]) -> None:
        """The input of a graph without a start node of its own: what its first step was given."""
        task = step.tasks[0]
        value = self.value(task.state, f"the input of {task}")
        channels = self.graph.input_channels
        names = [channels] if isinstance(channels, str) else list(channels)
        single = isinstance(channels, str)
        pairs = [(names[0], value)] if single else [(name, value[name]) for name in names if name in (value or {})]
        self._apply([*unfinished, _task_writes((), INPUT, pairs, ())])

    def apply(self, step: Superstep) -> None:
        """Apply what the tasks of a superstep wrote."""
        self._apply([self._written(task) for task in step.tasks])

    def _written(self, task: Task) -> Any:
        if task.writes is None and task.status == "completed":
            raise self._unknown(task)
        writes = self.writes_of(task.writes, task.update, f"what {task} wrote")
        return _task_writes(_path(task), task.name, writes, _channels(task))

    def _unknown(self, task: Task) -> ReplayError:
        if task.withheld:
            return ReplayError(f"what {task} wrote was redacted from the record, so nothing after it can be run again")
        return ReplayError(
            f"what {task} wrote to the graph's channels was not recorded (a trace_policy hides it, the store did "
            "not keep up, or the recording had callbacks alone), so nothing after it can be taken up; replay single "
            "steps instead: step.replay()"
        )

    def writes_of(self, compact: Json, update: Json, what: str) -> Writes:
        """Recorded writes as LangGraph has them. Raises ReplayError."""
        known: Any = None
        made: Writes = []
        for write in self._recorded.writes(compact, what):
            if isinstance(write, str):
                if known is None:
                    known = self._recorded.value(update)
                value = known[write] if not isinstance(known, Marked) else known["data"][write]
                made.append((write, self._restored(value, f"{what} to {write!r}")))
            else:
                channel, value = write[0], (write[1] if len(write) > 1 else None)
                live = self._sent(value) if channel == TASKS else self._restored(value, f"{what} to {channel!r}")
                made.append((channel, live))
        return made

    def _sent(self, value: Any) -> Any:
        from langgraph.types import Send

        if not isinstance(value, dict) or "send" not in value:
            return self._restored(value, "a Send")
        return Send(value["send"], self._restored(value["arg"], f"what was sent to {value['send']!r}"))

    def value(self, json: Json, what: str) -> Any:
        """A recorded value, live. Raises ReplayError."""
        return self._restored(self._recorded.value(json), what)

    def _restored(self, value: Any, what: str) -> Any:
        try:
            return restore(value)
        except Missing as error:
            at = f" at {error.path}" if error.path else ""
            raise ReplayError(
                f"{what}{at} {error.why}, so the state cannot be rebuilt; pick a later step whose state you can give "
                "with state={…}, or replay the step alone with edit={…}"
            ) from None

    def _apply(self, tasks: Sequence[Any]) -> None:
        from langgraph.pregel._algo import apply_writes

        try:
            apply_writes(self.checkpoint, self.channels, tasks, self.version, self.graph.trigger_to_nodes)
        except Exception as error:
            names = ", ".join(task.name for task in tasks)
            raise ReplayError(
                f"what {names} wrote cannot be applied to today's graph: {type(error).__name__}: {error}. Its state "
                "has other channels or reducers than when this was recorded; give the graph that ran: graph=…"
            ) from error

    # --- the result ---

    def values(self) -> dict[str, Any]:
        """The state as nodes would see it: what each channel of the state holds."""
        return {name: channel.get() for name, channel in self._available() if _is_state(name)}

    def edit(self, changes: Mapping[str, Any]) -> None:
        """Put values into channels of the state, past their reducers."""
        seen = self.checkpoint["channel_versions"]
        version = self.version(max(seen.values()) if seen else None, None)
        channels = dict(self.channels)
        for name, value in changes.items():
            channels[name] = self.graph.channels[name].from_checkpoint(value)
            channels[name].key = name
            seen[name] = version
        self.channels = channels

    def save(self, saver: Any, config: Any, number: int, source: str = "fork") -> Any:
        """Write the checkpoint before superstep `number`; the config that names it."""
        from langgraph._internal._typing import MISSING
        from langgraph.checkpoint.base.id import uuid6

        values = {name: _kept(channel) for name, channel in self.channels.items()}
        values = {name: value for name, value in values.items() if value is not MISSING}
        checkpoint = {**self.checkpoint, "id": str(uuid6(clock_seq=number)), "channel_values": values}
        metadata = {"source": source, "step": number - 1, "parents": {}}
        return saver.put(config, checkpoint, metadata, checkpoint["channel_versions"])

    def _available(self) -> Iterator[tuple[str, Any]]:
        for name, channel in self.channels.items():
            if channel.is_available():
                yield name, channel


def _kept(channel: Any) -> Any:
    # A DeltaChannel's own checkpoint relies on the checkpoints before it, which are not there.
    return channel.get() if type(channel).__name__ == "DeltaChannel" else channel.checkpoint()


def _is_state(name: str) -> bool:
    return not (name.startswith("__") and name != "__root__") and not name.startswith(("branch:", "join:"))


def _unfinished(step: Superstep) -> list[Any]:
    """What LangGraph makes of tasks that were left when new input came: their triggers are used up."""
    return [] if step.is_done else [_task_writes(_path(task), task.name, [], _channels(task)) for task in step.tasks]


def _is_handled(step: Superstep) -> bool:
    """Whether its failures were taken up by error handlers, so that the graph went on."""
    return all(task.status in ("completed", "failed") for task in step.tasks)


def _next_version(current: Any, channel: Any) -> str:
    from langgraph.checkpoint.memory import InMemorySaver

    return str(InMemorySaver.get_next_version(_VERSIONS, current, channel))  # type: ignore[arg-type]


_VERSIONS = object()


def _channels(task: Task) -> tuple[str, ...]:
    return task.channels if task.channels is not None else (f"branch:to:{task.name}",)


def _path(task: Task) -> tuple[Any, ...]:
    return task.path or ("__pregel_pull", task.name)


def _task_writes(path: tuple[Any, ...], name: str, writes: Writes, triggers: Sequence[str]) -> Any:
    from langgraph.pregel._algo import PregelTaskWrites

    return PregelTaskWrites(path, name, writes, list(triggers))
