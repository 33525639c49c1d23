"""The state of a graph before and after each superstep, from what nodes were given and what they wrote.

What a node was given is the state as the graph's own reducers had made it, so most of every state is on record as it
was. The rest (keys that no node of the next superstep read, and the state after the last one) follows from the recorded
writes, where the reducer is one whose meaning is known; what follows from neither is marked as not recorded.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ..core.canonical import MARK, Json, marker, to_json
from ..core.marked import Marked
from ._ran import Ran, Story
from ._restore import restore
from ._values import Values

_HIDDEN = ("__", "branch:", "join:")
_ADD_MESSAGES = "langgraph.graph.message.add_messages"
_REDUCERS: Mapping[str, Callable[[Any, Any], Any]] = {
    "operator.add": operator.add,
    "operator.concat": operator.concat,
    "operator.or_": operator.or_,
    "operator.and_": operator.and_,
    "operator.mul": operator.mul,
    "builtins.max": max,
    "builtins.min": min,
}
_LAST = ("LastValue", "AnyValue", "UntrackedValue", "LastValueAfterFinish")

Write = tuple[str, Json]
"""A key of the state, and what was written to it."""
Cells = dict[str, Json]
"""A state: recorded JSON by key, with `UNKNOWN` where it cannot be told."""


class Unknown:
    """Stands for a value that is not on record."""

    def __repr__(self) -> str:
        return "(not recorded)"


UNKNOWN: Any = Unknown()
_ABSENT: Any = object()


@dataclass(slots=True, eq=False)
class Superstep:
    """Steps of one graph run that ran side by side: all saw the same state, and their writes were applied together."""

    steps: list[Ran] = field(default_factory=list)
    before: Cells = field(default_factory=dict)
    after: Cells = field(default_factory=dict)
    writes: list[tuple[Ran, list[Write]]] = field(default_factory=list)
    """In the order in which they were applied."""
    is_first: bool = False
    """A run of the graph begins with it, on its input."""
    entry: list[Write] = field(default_factory=list)
    """What the input of that run wrote."""

    @property
    def is_whole(self) -> bool:
        """Whether its writes reached the state: no step of it failed, waits or was stopped in the end."""
        last = {(step.name, step.visit): step for step in self.steps}
        return all(step.status in ("completed", "skipped") for step in last.values())

    def written(self, key: str) -> list[tuple[Ran, Json]]:
        """Who wrote `key`, and what."""
        return [(step, value) for step, writes in self.writes for name, value in writes if name == key]


class States:
    """The states of one engagement's graphs."""

    def __init__(
        self,
        story: Story,
        graphs: Callable[[Ran], Mapping[str, Any] | None],
        reducers: Callable[[Ran, str], Callable[[Any, Any], Any] | None] = lambda step, key: None,
    ) -> None:
        """`graphs` gives the recorded description of the graph that a step ran in (`langgraph_adapter._code`),
        `reducers` the user's own reducer of a key, where the very graph is still alive in this process."""
        self.story = story
        self.values: Values = story.values
        self._graphs = graphs
        self._reducers = reducers
        self._runs: dict[str | None, list[Superstep]] = {}

    def runs(self) -> Iterator[list[Superstep]]:
        """The supersteps of every graph run: at the top, then inside each step, in order."""
        for parent in self.story.inside:
            yield self.inside(parent)

    def inside(self, parent: str | None) -> list[Superstep]:
        """The supersteps of the graph runs right inside a step, or at the top (None)."""
        if parent not in self._runs:
            steps = [step for step in self.story.inside.get(parent, ()) if not step.is_called]
            self._runs[parent] = self._settled(list(_supersteps(steps)))
        return self._runs[parent]

    def of(self, step: Ran) -> Superstep | None:
        """The superstep of a step; None for a task that was called: it is in none."""
        parent = step.parent_id if step.parent_id in self.story.by_id else None
        return next((one for one in self.inside(parent) if step in one.steps), None)

    def channels(self, step: Ran) -> dict[str, tuple[str, str | None]]:
        """Kind and reducer of each key of the state of the graph that `step` ran in; empty where it is not known."""
        said = self._graphs(step) or {}
        return {name: (kind, reducer) for name, kind, reducer in said.get("channels", ())}

    def resolved(self, cells: Cells) -> dict[str, Any]:
        """A state as Python values."""
        return {key: self.value(cell) for key, cell in cells.items()}

    def value(self, cell: Json) -> Any:
        """One value of a state."""
        if cell is UNKNOWN:
            return Marked(
                marker("withheld", why="not recorded: a reducer of the graph's own made it, and no step read it")
            )
        return self.values.resolve(cell)

    def alone(self, step: Ran, among: Superstep) -> Cells:
        """The keys that `step` wrote, as they would be had it been alone in its superstep."""
        writes = next((writes for one, writes in among.writes if one is step), [])
        cells = self._applied(step, dict(among.before), writes)
        found: Cells = {}
        for key, _ in writes:
            is_alone = len({id(one) for one, _ in among.written(key)}) == 1
            found[key] = among.after.get(key, UNKNOWN) if is_alone and among.is_whole else cells[key]
        return found

    # --- working it out ---

    def _settled(self, run: list[Superstep]) -> list[Superstep]:
        before: Cells = {}
        last = -1
        for one in run:
            number = one.steps[0].superstep
            goes_on = number is None or number > last  # a run without a conversation counts from the start again
            last = last if number is None else number
            before = self._begun(one, before if goes_on else {})
            one.before = {**before, **self._seen(one)}
            self._read_writes(one)
            before = one.after = self._after(one)
        self._look_back(run)
        return run

    def _begun(self, one: Superstep, before: Cells) -> Cells:
        if not one.is_first:
            return before
        first = one.steps[0]
        entry = _writes(first.entry, {})
        one.entry = [(key, value) for key, value in entry if not key.startswith(_HIDDEN)]
        return self._applied(first, dict(before), one.entry)

    def _seen(self, one: Superstep) -> Cells:
        """What the nodes of the superstep were given of the state."""
        known, cells = self.channels(one.steps[0]), Cells()
        for step in one.steps:
            given = None if step.is_sent else self.values.entries(step.state)
            for key, value in (given or {}).items():
                if not known or key in known:
                    cells[key] = value
        return cells

    def _read_writes(self, one: Superstep) -> None:
        known = self.channels(one.steps[0])
        last = {(step.name, step.visit): step for step in one.steps if step.status in ("completed", "failed")}
        steps = [step for step in one.steps if last.get((step.name, step.visit)) is step]
        for step in sorted(steps, key=_order):
            if step.status != "completed":
                continue
            update = self.values.entries(step.update) or {}
            writes = list(update.items()) if step.writes is None else list(_writes(step.writes, update))
            kept = [
                (key, value) for key, value in writes if not key.startswith(_HIDDEN) and (not known or key in known)
            ]
            one.writes.append((step, kept))

    def _after(self, one: Superstep) -> Cells:
        cells = dict(one.before)
        if one.is_whole:
            for step, writes in one.writes:
                cells = self._applied(step, cells, writes)
        return cells

    def _applied(self, step: Ran, cells: Cells, writes: Iterable[Write]) -> Cells:
        known = self.channels(step)
        for key, value in writes:
            kind, reducer = known.get(key, ("", None))
            overwritten = _overwrite(self.values, value)
            if overwritten is not UNKNOWN:
                cells[key] = overwritten
            elif kind in _LAST:
                cells[key] = value
            elif reducer is None and not known:
                # No graph is on record (somebody's own recorder), so no reducer: what is written is what is there.
                cells[key] = value
            else:
                cells[key] = self._merged(step, key, reducer, cells.get(key, _ABSENT), value)
        return cells

    def _merged(self, step: Ran, key: str, reducer: str | None, old: Json, new: Json) -> Json:
        is_there = old is not _ABSENT
        if old is UNKNOWN or reducer is None:
            return UNKNOWN
        if reducer == _ADD_MESSAGES:
            return self._messages(old if is_there else None, new)
        function = _REDUCERS.get(reducer)
        if function is None:
            return self._merged_alive(self._reducers(step, key), old, new) if is_there else UNKNOWN
        if not is_there:
            return new
        if function is operator.add and (left := self.values.items(old)) is not None:
            right = self.values.items(new)
            return UNKNOWN if right is None else [*left, *right]
        try:
            return to_json(function(self.values.resolve(old), self.values.resolve(new)))
        except Exception:  # values that only their own classes know how to merge
            return UNKNOWN

    def _merged_alive(self, function: Callable[[Any, Any], Any] | None, old: Json, new: Json) -> Json:
        """What the user's own reducer makes of two values; UNKNOWN where it, or they, cannot be had."""
        if function is None:
            return UNKNOWN
        try:
            return to_json(function(*(restore(self.values.resolve(value)) for value in (old, new))))
        except Exception:  # it is the user's code, and gets values made again from the record
            return UNKNOWN

    def _messages(self, old: Json, new: Json) -> Json:
        """What `add_messages` makes: a message replaces the one with its id, or is appended; removals remove."""
        kept = list(self.values.items(old) or ()) if old is not None else []
        more = self.values.items(new)
        for message in [new] if more is None else more:
            name, known_as = self._identity(message)
            if name == "RemoveMessage":
                if known_as == "__remove_all__":
                    kept = []
                else:
                    kept = [one for one in kept if self._identity(one)[1] != known_as]
                continue
            at = [i for i, one in enumerate(kept) if known_as is not None and self._identity(one)[1] == known_as]
            if at:
                kept[at[0]] = message
            else:
                kept.append(message)
        return kept

    def _identity(self, message: Json) -> tuple[str, Any]:
        opened = self.values.open(message)
        if not isinstance(opened, dict):
            return "", None
        data = self.values.entries(opened) or {}
        return str(opened.get("type", "")), data.get("id")

    def _look_back(self, run: list[Superstep]) -> None:
        """Take from later supersteps what was seen only there."""
        for earlier, later in reversed(list(pairwise(run))):
            touched = {key for key, _ in later.entry}
            for key, cell in later.before.items():
                if cell is not UNKNOWN and key not in touched and earlier.after.get(key, cell) is UNKNOWN:
                    earlier.after[key] = cell
            for key, cell in earlier.before.items():
                if cell is UNKNOWN and not earlier.written(key):
                    earlier.before[key] = earlier.after.get(key, UNKNOWN)
            if not later.is_first and earlier.is_whole:
                # What the next nodes were given is what the graph's reducers made.
                seen = self._seen(later)
                earlier.after.update({key: seen[key] for key in seen})


def _supersteps(steps: list[Ran]) -> Iterator[Superstep]:
    """`steps` of one place, by superstep; where LangGraph's number is not on record, causes tell."""
    if all(step.superstep is not None for step in steps):
        yield from _by_number(steps)
        return
    level: dict[str, int] = {}
    groups: dict[int, Superstep] = {}
    top, turn = 0, 0
    for step in steps:
        known = [level[cause] for cause in step.triggers if cause in level]
        resumed = "resume" in step.routes.values()
        if not known:
            top, turn = (top, turn) if step.turn == turn else (max(level.values(), default=0) + 1, step.turn)
            level[step.step_id] = top
        else:
            level[step.step_id] = max(known) + (0 if resumed else 1)
        one = groups.setdefault(level[step.step_id], Superstep())
        one.is_first = one.is_first or not known
        one.steps.append(step)
    yield from (groups[number] for number in sorted(groups))


def _by_number(steps: list[Ran]) -> Iterator[Superstep]:
    one: Superstep | None = None
    for step in steps:
        last = None if one is None else one.steps[-1]
        begins = last is None or step.entry is not None or (step.superstep or 0) < (last.superstep or 0)
        if one is None or begins or (last is not None and step.superstep != last.superstep):
            if one is not None:
                yield one
            one = Superstep(is_first=begins)
        one.steps.append(step)
    if one is not None:
        yield one


def _order(step: Ran) -> tuple[Any, ...]:
    """LangGraph's order of the tasks of a superstep: those that edges led to by name, then those that were sent."""
    if step.path:
        return (1, "", tuple(f"{part:010d}" if isinstance(part, int) else str(part) for part in step.path[:3]))
    return (0, step.name, ())


def _writes(compact: list[Json] | None, update: Mapping[str, Json]) -> Iterator[Write]:
    """What was written to which channel (see `langgraph_adapter._writes`)."""
    for write in compact or ():
        if isinstance(write, str):
            yield write, update.get(write)
        elif isinstance(write, list) and write:
            yield str(write[0]), write[1] if len(write) > 1 else None


def _overwrite(values: Values, value: Json) -> Json:
    """What a write that goes past the reducer puts in its place; UNKNOWN for any other write."""
    opened = values.open(value)
    if not isinstance(opened, dict):
        return UNKNOWN
    if opened.get(MARK) == "object" and str(opened.get("type", "")).rpartition(".")[2] == "Overwrite":
        return (values.entries(opened) or {}).get("value")
    return opened["__overwrite__"] if set(opened) == {"__overwrite__"} else UNKNOWN
