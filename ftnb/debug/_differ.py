"""Where a run of today departs from a recorded one, and what is to blame."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..core.canonical import encode_json, to_json
from ._cassette import Cassette, Served, readable
from ._compare import changed, same
from ._rebuild import TASKS
from ._recorded import Recorded, Task

Cause = Literal["code", "prompt", "model", "tool", "topology"]
_MAX_TEXT = 2_000


@dataclass(slots=True)
class Divergence:
    """One step that is other than recorded."""

    task: Task
    what: str
    """output, route, status, prompt, settings, arguments, missing (it did not run), extra (it did not run then)."""
    expected: str | None
    got: str | None
    cause: Cause
    because: Task | None = None
    """The earlier step from which it follows; None: it departs by itself."""


def divergences(
    then: Recorded,
    now: Recorded,
    cassette: Cassette,
    *,
    ignore: Collection[str] = (),
    moved: Collection[str] = (),
) -> list[Divergence]:
    """The steps of `now` that are not as in `then`, in the order in which they were recorded.

    `ignore` are keys of the state; `moved` are nodes whose edges are declared otherwise today.
    """
    return _Differ(then, now, cassette, frozenset(ignore), frozenset(moved)).found


class _Differ:
    def __init__(
        self, then: Recorded, now: Recorded, cassette: Cassette, ignore: frozenset[str], moved: frozenset[str]
    ) -> None:
        self.then, self.now, self._ignore, self._moved = then, now, ignore, moved
        self.found: list[Divergence] = []
        self._assumed: dict[str, list[Served]] = {}
        for served in cassette.log:
            if served.how == "assumed" and served.entry is not None:
                self._assumed.setdefault(served.entry.task.step_id, []).append(served)
        self._edited = {
            task.step_id for task in then.tasks for call in task.calls if call.event_id in cassette.edits
        } if cassette.edits else set()  # fmt: skip
        self._refused = [served for served in cassette.log if served.how == "refused"]
        live = {task.key: task for task in now.tasks}
        known = _last_attempts(then.tasks)
        for task in known.values():
            made = live.get(task.key)
            if made is None:
                self._add(task, None, "missing", "ran", None)
            else:
                self._compare(task, made)
        for task in _last_attempts(now.tasks).values():
            if task.key not in known:
                self._add(task, task, "extra", None, "ran")

    def _compare(self, task: Task, made: Task) -> None:
        if task.status == "running" or task.status == "cancelled":
            return  # its end was not recorded, or was up to chance
        for served in self._assumed.get(task.step_id, ()):
            self._add(task, made, *_asked(served, self.then))
        if task.status != made.status:
            self._add(task, made, "status", _status(task), _status(made))
            return
        if task.status == "completed":
            self._compare_output(task, made)
        elif (task.error_type, task.error) != (made.error_type, made.error):
            self._add(task, made, "status", _status(task), _status(made))

    def _compare_output(self, task: Task, made: Task) -> None:
        then, now = self.then.value(task.update), made.update
        if not same(then, now):
            pairs = {key: pair for key, pair in changed(then, now).items() if key not in self._ignore}
            if pairs:
                one = {key: pair[0] for key, pair in pairs.items()}
                other = {key: pair[1] for key, pair in pairs.items()}
                self._add(task, made, "output", _text(one), _text(other))
                return
        ways = _ways(self.then, task), _ways(None, made)
        if ways[0] is not None and ways[1] is not None and not same(*ways):
            self._add(task, made, "route", _text(ways[0]), _text(ways[1]))

    def _add(self, task: Task, made: Task | None, what: str, expected: str | None, got: str | None) -> None:
        first = next((one for one in self.found if one.because is None), None)
        if first is not None and self._follows(task, made):
            self.found.append(Divergence(task, what, expected, got, first.cause, first.task))
            return
        self.found.append(Divergence(task, what, expected, got, self._cause(task, what)))

    def _follows(self, task: Task, made: Task | None) -> bool:
        """Whether a step departs because one before it did: it ran on another input, or one of the two did not run."""
        if made is None or made is task:
            return True
        if any(one.task is task and one.because is None for one in self.found):
            return False
        return not same(self.then.value(task.state), made.state)

    def _cause(self, task: Task, what: str) -> Cause:
        causes: dict[str, Cause] = {"prompt": "prompt", "settings": "model", "arguments": "tool"}
        if what in causes:
            return causes[what]
        if self._refused and what == "status":
            return "prompt" if self._refused[0].kind == "llm" else "tool"
        if task.step_id in self._edited:
            return "tool"
        earlier = [one.cause for one in self.found if one.task is task]
        if earlier:
            return earlier[0]
        if what in ("missing", "extra", "route") and (task.full in self._moved or not self.found and what != "route"):
            return "topology"
        return "code"


def _last_attempts(tasks: Sequence[Task]) -> dict[tuple[str, str, int], Task]:
    return {task.key: task for task in tasks}


def _ways(recorded: Recorded | None, task: Task) -> Any:
    """Where a step led: what it wrote to control channels, and to whom it sent what. None: not recorded."""
    if task.writes is None:
        return None
    ways = []
    for write in task.writes:
        if isinstance(write, str) or str(write[0]).startswith("__resume"):
            continue
        value = write[1] if len(write) > 1 else None
        ways.append([write[0], value if recorded is None else recorded.value(value)])
    return sorted(ways, key=lambda way: (str(way[0]) != TASKS, str(way[0])))


def _asked(served: Served, then: Recorded) -> tuple[str, str | None, str | None]:
    """What was asked then and now, where it is not the same."""
    entry = served.entry
    assert entry is not None
    payload = then.value(entry.call.payload) or {}
    if served.why == "tool":
        key = "query" if served.kind == "retriever" else "args"
        return "arguments", _text({served.name: payload.get(key)}), _text({served.name: served.asked})
    if served.why == "model":
        return "settings", _text(payload.get("parameters")), _text(served.name)
    one, other = payload.get("messages") or [], readable(served.asked)
    for place in range(max(len(one), len(other))):
        pair = [messages[place] if place < len(messages) else None for messages in (one, other)]
        if not same(*pair):
            return "prompt", _text({f"messages[{place}]": pair[0]}), _text({f"messages[{place}]": pair[1]})
    return "prompt", _text(one), _text(other)


def _status(task: Task) -> str:
    return f"{task.status}: {task.error_type}: {task.error}" if task.error is not None else task.status


def _text(value: Any) -> str:
    text = encode_json(to_json(value)).decode()
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}… ({len(text)} characters)"
