"""LangGraph's checkpoint databases: what agents did that nobody traced. An engagement is a thread.

A checkpoint is written after every superstep, with what each node of the next one wrote kept beside it. So a task with
writes is a step; when it ran is known to the superstep: it began with its checkpoint and had ended with the next. Calls
of models and tools are seen by the messages that they left. SQLite (`SqliteSaver`) and PostgreSQL (`PostgresSaver`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ..core.errors import NotOurFileError
from ..core.model import EngagementStatus, EventKind, StepStatus
from ..store import build
from ..store.draft import Draft, Stream
from ._checkpoint_rows import Checkpoint, Task, threads
from ._forms import stable_id
from ._into import Sink
from ._source import Source
from ._usage import tokens_of

_HIDDEN = (
    "langgraph_",
    "thread_id",
    "checkpoint_",
    "source",
    "step",
    "parents",
    "writes",
    "__",
    "run_",
    "assistant_id",
)


def load(source: Source, sink: Sink) -> None:
    """Every thread of the database."""
    n = 0
    source.report.add("guessed", "(time)", "a step lies between its checkpoint and the next one")
    source.report.add("left out", "(calls)", "calls of models and tools that left no message")
    for thread, checkpoints in threads(source):
        n += 1
        _Thread(thread, checkpoints, source).write(sink)
    if n == 0:
        raise NotOurFileError(f"{source.where}: the database holds no checkpoints")


class _Thread:
    """One thread: its checkpoints in the order of time, in turns."""

    def __init__(self, thread: str, checkpoints: list[Checkpoint], source: Source) -> None:
        self._id = thread if len(thread) >= 6 and len(thread) <= 64 and thread.isprintable() else None
        self._thread = thread
        self._source = source
        self._report = source.report
        self._all = checkpoints
        self._after: dict[tuple[str, str], list[Checkpoint]] = {}
        for one in checkpoints:
            if one.parent is not None:
                self._after.setdefault((one.ns, one.parent), []).append(one)
        self._before: dict[tuple[str, str], list[str]] = {}
        """The steps of a checkpoint: what led to those of the next one."""
        self._visits: Counter[tuple[str, str]] = Counter()

    def write(self, sink: Sink) -> None:
        engagement_id = self._id or stable_id("thread", self._thread)
        turns = list(self._turns())
        for n, (key, steps) in enumerate(turns):
            found = sink.turn(engagement_id, key)
            if found is not None:
                sink.add(self._drafts(steps, *found, is_last=n == len(turns) - 1))
        self._report.counts["checkpoints"] += len(self._all)

    def _turns(self) -> Iterator[tuple[str, list[tuple[Checkpoint, Task, Checkpoint | None]]]]:
        """Supersteps by turn: a new one begins with an input, and with the answer to a pause."""
        waiting: list[tuple[Checkpoint, Task, Checkpoint | None]] = []
        key = "first"
        for checkpoint in self._all:
            if checkpoint.ns == "" and checkpoint.source == "input" and waiting:
                yield key, waiting
                waiting, key = [], checkpoint.id
            following = self._after.get((checkpoint.ns, checkpoint.id), [])
            after = next((one for one in following if one.source in ("loop", "")), None)
            if len(following) > 1:
                self._report.add("left out", "(branches)", "order only: forks of a thread stay in it")
            paused = [task for task in checkpoint.tasks if task.is_paused]
            if paused and checkpoint.ns == "" and any(task.is_resumed for task in paused):
                done = [task for task in checkpoint.tasks if not task.is_paused]
                yield (
                    key,
                    [
                        *waiting,
                        *((checkpoint, one, after) for one in done),
                        *((checkpoint, one, None) for one in paused),
                    ],
                )
                waiting, key = [(checkpoint, one, after) for one in paused if after is not None], f"{checkpoint.id}+"
                continue
            for task in checkpoint.tasks:
                if not (task.is_paused and not task.is_resumed and after is not None):
                    waiting.append((checkpoint, task, after))
        if waiting:
            yield key, waiting

    def _drafts(
        self, steps: list[tuple[Checkpoint, Task, Checkpoint | None]], stream: Stream, is_first: bool, *, is_last: bool
    ) -> Iterator[Draft]:
        begin = steps[0][0].at_us
        if is_first:
            labels = {"thread_id": self._thread, **self._labels()}
            yield build.engagement_started(stream, begin, "thread", metadata=labels)
        end, last, failed, paused = begin, None, None, False
        for checkpoint, task, after in sorted(steps, key=lambda one: (one[0].at_us, one[0].place)):
            is_again = task.is_paused and task.is_resumed and after is not None
            waited = f"{task.id}-paused"
            step_id = waited if task.is_resumed and after is None else task.id
            status = _status(task, after)
            at, ended = checkpoint.at_us, (after.at_us if after is not None else checkpoint.at_us)
            ns, parent = _place(checkpoint.ns)
            causes = [waited] if is_again else self._before.get((checkpoint.ns, checkpoint.parent or ""), [])
            if not is_again:
                self._visits[ns, task.node] += 1
            yield build.step_started(
                stream, at, step_id, task.node, parent_step_id=parent, ns=ns, attempt=2 if is_again else 1,
                visit=self._visits[ns, task.node], triggers=causes, routes={waited: "resume"} if is_again else None,
                state=checkpoint.values or None,
            )  # fmt: skip
            yield from self._events(task, stream, at, step_id, checkpoint) if status is not StepStatus.WAITING else ()
            if status is not StepStatus.RUNNING:
                took = None if after is None else max(ended - at, 0)
                yield build.step_ended(
                    stream, max(ended, at), step_id, task.node, status, duration_us=took, error=task.error,
                    update=task.update or None,
                )  # fmt: skip
            self._before.setdefault((checkpoint.ns, checkpoint.id), []).append(step_id)
            end, last = max(end, ended), task.node
            paused = paused or status is StepStatus.WAITING
            failed = failed or (task.error if status is StepStatus.FAILED else None)
        if paused:
            yield build.engagement_status(stream, end, EngagementStatus.PAUSED)
        elif failed is not None:
            yield build.engagement_ended(stream, end, EngagementStatus.FAILED, dropped_at=last, error=failed)
        else:
            yield build.engagement_ended(stream, end, EngagementStatus.COMPLETED)

    def _labels(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for checkpoint in self._all:
            for key, value in checkpoint.metadata.items():
                if not key.startswith(_HIDDEN) and isinstance(value, (str, int, float, bool)):
                    found[key] = value
        for key in found:
            self._report.add("mapped", f"metadata.{key}", "metadata")
        return found

    def _events(self, task: Task, stream: Stream, at: int, step_id: str, checkpoint: Checkpoint) -> Iterator[Draft]:
        for n, message in enumerate(_messages(task.update)):
            event_id = f"{step_id}:{n}"
            if message.get("role") == "assistant":
                model = message.get("model") if isinstance(message.get("model"), str) else None
                tokens = tokens_of(message.get("usage"))
                said = {key: value for key, value in message.items() if key not in ("usage", "model", "id")}
                context = _messages(checkpoint.values)
                payload: dict[str, Any] = {"messages": context, "response": said} if context else {"response": said}
                self._report.add("guessed", "(message of a model)", "an llm_call; what it was given is the state")
                yield build.event(
                    stream, at, step_id, EventKind.LLM_CALL, model or "assistant", payload=payload, model=model,
                    tokens=tokens, event_id=event_id,
                )  # fmt: skip
            elif message.get("role") == "tool":
                call = _call(message.get("tool_call_id"), checkpoint.values)
                name = str(message.get("name") or call.get("name") or "tool")
                payload = {
                    "args": call.get("args"),
                    "result": message.get("content"),
                    "call_id": message.get("tool_call_id"),
                }
                failed = str(message.get("content")) if message.get("status") == "error" else None
                self._report.add("guessed", "(message of a tool)", "a tool_call")
                yield build.event(
                    stream, at, step_id, EventKind.TOOL_CALL, name, payload=payload, error=failed, event_id=event_id
                )


def _status(task: Task, after: Checkpoint | None) -> StepStatus:
    if task.is_paused and after is None:
        return StepStatus.WAITING
    if task.error is not None:
        return StepStatus.FAILED
    return StepStatus.COMPLETED


def _place(ns: str) -> tuple[str, str | None]:
    """The path of a subgraph's nodes, and the step (a task) that it runs in; `node:task|node:task` in LangGraph."""
    if not ns:
        return "", None
    parts = [part.rpartition(":") for part in ns.split("|")]
    parts = [part for part in parts if part[0] and not part[2].isdigit()]
    if not parts:
        return "", None
    return "/".join(part[0].rpartition(":")[0] or part[0] for part in parts), parts[-1][2]


def _messages(values: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for held in values.values() if isinstance(values, dict) else ():
        many: Iterable[Any] = held if isinstance(held, list) else (held,)
        found += [one for one in many if isinstance(one, dict) and one.get("role") and "content" in one]
    return found


def _call(call_id: Any, values: Any) -> dict[str, Any]:
    for message in reversed(_messages(values)):
        for call in message.get("tool_calls") or ():
            if isinstance(call, dict) and call.get("id") == call_id:
                return call
    return {}
