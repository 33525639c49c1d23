"""Where a run of today departs from a recorded one, and what is to blame."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..core.canonical import encode_json, to_json
from ..core.marked import Marked
from ..langgraph_adapter import _writes
from ._cassette import Cassette, Served, readable
from ._compare import plain, same
from ._observe import Key, Ran, order_of
from ._recorded import Recorded, Task

Cause = Literal["code", "prompt", "model", "tool", "topology"]
_MAX_TEXT = 2_000
_QUIET = ("__resume__", "__no_writes__")
_BY_WHAT: dict[str, Cause] = {"prompt": "prompt", "settings": "model", "arguments": "tool"}
_ABSENT = object()


@dataclass(slots=True)
class Divergence:
    """One step that is other than recorded."""

    full: str
    visit: int
    turn: int | None
    """None for a step that did not run then."""
    step_id: str | None
    what: str
    """output, route, status, prompt, settings, arguments, missing (it did not run), extra (it did not run then)."""
    expected: str | None
    got: str | None
    cause: Cause
    because: str | None = None
    """The earlier step from which it follows; None: it departs by itself."""

    def __str__(self) -> str:
        return f"{self.full!r} visit {self.visit}" if self.visit > 1 else repr(self.full)


def divergences(
    then: Recorded,
    now: Mapping[Key, Ran],
    cassette: Cassette,
    *,
    ignore: Collection[str] = (),
    moved: Callable[[], Collection[str]] = tuple,
) -> list[Divergence]:
    """The steps of `now` that are not as in `then`, in the order in which they were recorded.

    `ignore` are keys of the state; `moved` tells the nodes whose edges are declared otherwise today.
    """
    return _Differ(then, cassette, frozenset(ignore), moved).compare(now)


class _Differ:
    def __init__(
        self, then: Recorded, cassette: Cassette, ignore: frozenset[str], moved: Callable[[], Collection[str]]
    ) -> None:
        self.then, self._cassette, self._ignore, self._moved = then, cassette, ignore, moved
        self.found: list[Divergence] = []
        self._assumed: dict[str, list[Served]] = {}
        for served in cassette.log:
            if served.how == "assumed" and served.entry is not None:
                self._assumed.setdefault(served.entry.task.step_id, []).append(served)

    def compare(self, now: Mapping[Key, Ran]) -> list[Divergence]:
        stable = _stable_keys(self.then.tasks)
        known = {stable.get(task.step_id, task.key): task for task in self.then.tasks}
        for key, task in known.items():
            if task.status in ("running", "cancelled") or (task.status == "completed" and task.writes is None):
                continue  # its end was not recorded, or was up to chance
            made = now.get(key)
            if made is None:
                self._add(task, None, "missing", "ran", None)
                continue
            if self._assumed:
                for served in self._assumed.get(task.step_id, ()):
                    self._add(task, made, *_asked(served, self.then))
            if task.status != made.status:
                self._add(task, made, "status", _status_then(task), _status_now(made))
            elif task.status == "completed":
                if not self._wrote_the_same(task, made):
                    self._compare_writes(task, made)
            elif task.status == "failed" and _status_then(task) != _status_now(made):
                self._add(task, made, "status", _status_then(task), _status_now(made))
        for key, made in now.items():
            if key not in known:
                self._extra(made)
        return self.found

    def _wrote_the_same(self, task: Task, made: Ran) -> bool:
        """Whether a step wrote what it wrote then, seen without reading anything: true of most, and quick."""
        writes, update = task.writes, task.update
        if type(writes) is not list or len(writes) != len(made.writes):
            return False
        for write, (channel, value) in zip(writes, made.writes, strict=True):
            if type(write) is dict:
                return False  # kept by reference
            if type(write) is str:
                known = update.get(write, _ABSENT) if type(update) is dict else _ABSENT
                name = write
            else:
                name, known = write[0], write[1] if len(write) > 1 else None
            if name != channel or type(known) is not type(value):
                return False
            try:
                if known != value:
                    return False
            except Exception:  # values whose comparison raises
                return False
        return True

    def _compare_writes(self, task: Task, made: Ran) -> None:
        one, other = _then(self.then, task), _now(made)
        parts = {"output": lambda name: not _is_control(name), "route": _is_control}
        for what, is_part in parts.items():
            names = dict.fromkeys(name for name in (*one, *other) if is_part(name) and name not in self._ignore)
            differ = [name for name in names if not _same_all(one.get(name, []), other.get(name, []))]
            if differ:
                self._add(task, made, what, _shown(one, differ), _shown(other, differ))

    def _add(self, task: Task, made: Ran | None, what: str, expected: str | None, got: str | None) -> None:
        first = next((one for one in self.found if one.because is None), None)
        place = (task.full, task.visit, task.turn, task.step_id)
        if first is not None and self._follows(task, made):
            self.found.append(Divergence(*place, what, expected, got, first.cause, str(first)))
        else:
            self.found.append(Divergence(*place, what, expected, got, self._cause(task, what)))

    def _extra(self, made: Ran) -> None:
        first = next((one for one in self.found if one.because is None), None)
        full = f"{made.ns}/{made.name}" if made.ns else made.name
        cause: Cause = "topology" if first is None else first.cause
        because = None if first is None else str(first)
        self.found.append(Divergence(full, made.visit, None, None, "extra", None, "ran", cause, because))

    def _follows(self, task: Task, made: Ran | None) -> bool:
        """Whether a step departs because one before it did: it had another input, or did not run at all."""
        if made is None:
            return True
        if any(one.step_id == task.step_id and one.because is None for one in self.found):
            return False
        return plain(_bare(self.then.value(task.state))) != plain(_bare(made.input))

    def _cause(self, task: Task, what: str) -> Cause:
        if what in _BY_WHAT:
            return _BY_WHAT[what]
        refused = [served for served in self._cassette.log if served.how == "refused" and served.node == task.full]
        if refused and what == "status":
            return "prompt" if refused[0].kind == "llm" else "tool"
        if self._cassette.edits and any(call.event_id in self._cassette.edits for call in task.calls):
            return "tool"
        earlier = [one.cause for one in self.found if one.step_id == task.step_id]
        if earlier:
            return earlier[0]
        return "topology" if what in ("missing", "route") and task.full in self._moved() else "code"


def _stable_keys(tasks: Sequence[Task]) -> dict[str, Key]:
    """Keys of tasks that were sent or called side by side, numbered by their place and not by who began first."""
    groups: dict[tuple[Any, ...], list[Task]] = defaultdict(list)
    for task in tasks:
        if task.path:
            groups[task.parent_id, task.turn, task.superstep, task.ns, task.name].append(task)
    found: dict[str, Key] = {}
    for group in groups.values():
        visits = sorted(task.visit for task in group)
        for visit, task in zip(visits, sorted(group, key=lambda one: order_of(one.path)), strict=True):
            found[task.step_id] = task.ns, task.name, visit
    return found


def _is_control(name: str) -> bool:
    return name.startswith(("branch:", "join:", "__")) and name not in ("__root__", "__return__", "__end__")


def _then(recorded: Recorded, task: Task) -> dict[str, list[Any]]:
    """What a step wrote then, by channel."""
    known: Any = recorded.value(task.update)
    if isinstance(known, Marked) and isinstance(known.get("data"), dict):
        known = known["data"]
    found: dict[str, list[Any]] = {}
    for write in recorded.writes(task.writes, f"what {task} wrote"):
        if isinstance(write, str):
            found.setdefault(write, []).append(known[write])
        elif write[0] not in _QUIET:
            found.setdefault(write[0], []).append(write[1] if len(write) > 1 else None)
    return found


def _now(made: Ran) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for channel, value in made.writes:
        if channel not in _QUIET:
            found.setdefault(channel, []).append(_writes._value(channel, value))
    return found


def _same_all(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))


def _shown(values: Mapping[str, list[Any]], names: Collection[str]) -> str:
    shown = {name: values[name][0] if len(values[name]) == 1 else values[name] for name in names if name in values}
    return _text(shown)


def _bare(state: Any) -> Any:
    """A state as its fields: it may be an object of the user's class."""
    if isinstance(state, Marked) and isinstance(state.get("data"), dict):
        return state["data"]
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
        return None  # arguments of a called task, which are recorded by name
    dump = getattr(state, "model_dump", None)
    return dump() if callable(dump) else state


def _asked(served: Served, then: Recorded) -> tuple[str, str | None, str | None]:
    """What was asked then and now, where it is not the same."""
    entry = served.entry
    assert entry is not None
    payload = then.value(entry.call.payload) or {}
    if served.why == "tool":
        key = "query" if served.kind == "retriever" else "args"
        return "arguments", _text({served.name: payload.get(key)}), _text({served.name: served.asked})
    if served.why == "model":
        return "settings", _text(payload.get("parameters")), _text(served.settings)
    one, other = payload.get("messages") or [], readable(served.asked)
    for place in range(max(len(one), len(other))):
        pair = [messages[place] if place < len(messages) else None for messages in (one, other)]
        if not same(*pair):
            return "prompt", _text({f"messages[{place}]": pair[0]}), _text({f"messages[{place}]": pair[1]})
    return "prompt", _text(one), _text(other)


def _status_then(task: Task) -> str:
    return f"{task.status}: {task.error_type}: {task.error}" if task.error is not None else task.status


def _status_now(made: Ran) -> str:
    error = made.error
    return made.status if error is None else f"{made.status}: {type(error).__name__}: {error}"


def _text(value: Any) -> str:
    text = encode_json(to_json(value)).decode()
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}… ({len(text)} characters)"
