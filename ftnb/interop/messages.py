"""Chat logs: lists of messages in OpenAI's form (`role`, `content`, `tool_calls`), a conversation a list or a line.

An answer of the model is a step `assistant` with an llm_call, a tool's result a step named after the tool. A message of
a user after an answer begins the next turn. Logs that have no times are given an order only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..core.canonical import dumps
from ..core.model import EngagementStatus, EventKind, StepStatus
from ..store import build
from ..store.draft import Draft, Stream, Tokens
from ._forms import BadItem, micros_of, stable_id, text_of
from ._into import Sink
from ._report import Report
from ._source import Source
from ._span_messages import loaded
from ._usage import tokens_of

_IDS = ("conversation_id", "session_id", "thread_id", "id", "uuid")
_TIMES = ("timestamp", "created_at", "created", "time", "ts")
_SHAREGPT = {"human": "user", "gpt": "assistant", "system": "system", "tool": "tool", "function_call": "assistant"}
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_MAX_CONTEXT = 400
_SCALARS = (str, int, float, bool)
_MAX_LABEL = 500


def load(source: Source, sink: Sink) -> None:
    """Every conversation of the file."""
    seen: Counter[str] = Counter()
    for line, value in _conversations(source):
        source.guarded(line, value, lambda v=value: _conversation(v, seen, source, sink))  # type: ignore[misc]


def _conversations(source: Source) -> Iterator[tuple[int | None, Any]]:
    loose: list[Any] = []
    first: int | None = None
    for line, value in (
        source.objects(("messages", "*"), ("conversations", "*")) if _is_rows(source) else _whole(source)
    ):
        if isinstance(value, dict) and "role" in value and "messages" not in value:
            loose.append(value)
            first = line if first is None else first
        else:
            yield line, value
    if loose:
        yield first, {"messages": loose}


def _is_rows(source: Source) -> bool:
    return source.is_lines() or source.first_byte() == b"["


def _whole(source: Source) -> Iterator[tuple[int | None, Any]]:
    for _, line, value in source.json_items(lambda path: path == (), 1):
        many = value.get("conversations") if isinstance(value, dict) else None
        if isinstance(many, list) and many and isinstance(many[0], dict) and _messages_key(many[0]):
            yield from ((line, one) for one in many)
        else:
            yield line, value


def _messages_key(value: dict[str, Any]) -> str | None:
    """The key that holds the messages."""
    for key, held in value.items():
        begin = held[:3] if isinstance(held, list) else []
        are_objects = bool(begin) and all(isinstance(one, dict) for one in begin)
        if are_objects and any("role" in one or {"from", "value"} <= one.keys() for one in begin):
            return key
    return None


def _conversation(value: Any, seen: Counter[str], source: Source, sink: Sink) -> None:
    report = source.report
    if isinstance(value, list):
        value = {"messages": value}
    if not isinstance(value, dict) or (key := _messages_key(value)) is None:
        raise BadItem("there is no list of messages with a role in it")
    talk = _Talk(report)
    for one in value[key]:
        talk.take(one)
    if not talk.turns:
        raise BadItem("the conversation has no message of a user, a model or a tool")
    labels = {k: v for k, v in value.items() if k != key and isinstance(v, _SCALARS) and len(str(v)) <= _MAX_LABEL}
    for name in value:
        if name == key:
            report.add("mapped", name, "steps and events")
        elif name in labels:
            report.add("mapped", name, "metadata")
        else:
            report.add("left out", name, "no place for it here")
    told = next((text_of(value[name], name) for name in _IDS if isinstance(value.get(name), (str, int))), None)
    engagement_id = told if told is not None and len(told) >= 6 else ""
    if not engagement_id:  # what it says names it, and of equal ones which it is
        said = stable_id("messages", told, dumps(labels), dumps(value[key]))
        seen[said] += 1
        engagement_id = said if seen[said] == 1 else stable_id(said, seen[said])
    if talk.is_timeless:
        report.add(
            "guessed", "(time)", "no times in the file: seconds since 1970 give the order, durations are unknown"
        )
    for n, turn in enumerate(talk.turns):
        found = sink.turn(engagement_id, f"turn {n}")
        if found is not None:
            stream, is_first = found
            last = n == len(talk.turns) - 1
            sink.add(_drafts(turn, stream, labels if is_first else None, last))
    report.counts["messages"] += talk.n


@dataclass
class _Call:
    name: str
    arguments: Any


@dataclass
class _Said:
    """One message that is a step."""

    step_id: str
    name: str
    at_us: int
    kind: EventKind
    payload: dict[str, Any]
    message: dict[str, Any]
    triggers: list[str]
    model: str | None = None
    tokens: Tokens | None = None
    tools: list[str] = field(default_factory=list)
    error: str | None = None


@dataclass
class _Turn:
    at_us: int
    said: list[_Said] = field(default_factory=list)


class _Talk:
    def __init__(self, report: Report) -> None:
        self._report = report
        self.turns: list[_Turn] = []
        self.n = 0
        self.is_timeless = True
        self._before: list[dict[str, Any]] = []
        self._calls: dict[str, _Call] = {}
        self._asked: list[dict[str, Any]] = []
        self._last: list[str] = []
        self._last_role = ""
        self._at = 0

    def take(self, given: Any) -> None:
        """The next message. Raises BadItem."""
        if not isinstance(given, dict):
            raise BadItem("a message is no object")
        message = _message(given)
        role = message["role"]
        self.n += 1
        self._time(given)
        is_next = role == "user" and self._last_role in ("assistant", "tool", "function", "")
        if (is_next and (not self.turns or self.turns[-1].said)) or (
            not is_next and not self.turns and role not in ("system", "developer")
        ):
            self.turns.append(_Turn(self._at))
        if role == "assistant":
            self._assistant(message, given)
        elif role in ("tool", "function"):
            self._tool(message)
        if role not in ("system", "developer"):
            self._last_role = role
        self._before.append(message)
        for key in (key for key in given if given[key] is not None):
            is_kept = key in message or key in ("function_call", "usage", "model", "from", "value", *_TIMES)
            self._report.add(
                "mapped" if is_kept else "left out", f"message.{key}", "" if is_kept else "no place for it here"
            )

    def _time(self, given: dict[str, Any]) -> None:
        told = next((given[key] for key in _TIMES if given.get(key) is not None), None)
        if told is None:
            self._at += 1_000_000
        else:
            self._at = max(micros_of(told) or 0, self._at)
            self.is_timeless = False

    def _assistant(self, message: dict[str, Any], given: dict[str, Any]) -> None:
        context = self._before if len(self._before) <= _MAX_CONTEXT else self._before[-1:]
        calls = [call for call in message.get("tool_calls") or () if isinstance(call, dict)]
        tools = []
        for call in calls:
            function: dict[str, Any] = call["function"] if isinstance(call.get("function"), dict) else call
            name = str(function.get("name") or "tool")
            self._calls[str(call.get("id"))] = _Call(name, loaded(function.get("arguments", function.get("args"))))
            tools.append(name)
        model = given.get("model") if isinstance(given.get("model"), str) else None
        usage = given.get("usage")
        tokens = tokens_of(usage) if isinstance(usage, dict) else None
        payload = {"messages": list(context), "response": message}
        self._step("assistant", EventKind.LLM_CALL, payload, message, model=model, tokens=tokens)

    def _tool(self, message: dict[str, Any]) -> None:
        call = self._calls.get(str(message.get("tool_call_id")))
        name = str(message.get("name") or (call.name if call else "tool"))
        payload: dict[str, Any] = {"args": None if call is None else call.arguments, "result": message.get("content")}
        if message.get("tool_call_id"):
            payload["call_id"] = message["tool_call_id"]
        self._step(name, EventKind.TOOL_CALL, payload, message)

    def _step(self, name: str, kind: EventKind, payload: dict[str, Any], message: dict[str, Any], **more: Any) -> None:
        step_id = f"m{self.n}"
        self.turns[-1].said.append(_Said(step_id, name, self._at, kind, payload, message, list(self._last), **more))
        self._last = [step_id]


def _message(given: dict[str, Any]) -> dict[str, Any]:
    if "role" not in given and {"from", "value"} <= given.keys():
        given = {**given, "role": _SHAREGPT.get(str(given["from"]), "user"), "content": given["value"]}
    role = given.get("role")
    if role in ("human", "ai", "model"):
        role = "user" if role == "human" else "assistant"
    if role not in _ROLES:
        raise BadItem(f"a message has the role {role!r}; known: {', '.join(_ROLES)}")
    kept = {key: given[key] for key in ("content", "name", "tool_calls", "tool_call_id") if given.get(key) is not None}
    if isinstance(given.get("function_call"), dict):
        kept["tool_calls"] = [{"function": given["function_call"], "id": given["function_call"].get("name")}]
    if role == "function":
        kept.setdefault("tool_call_id", given.get("name"))
    return {"role": role, **kept}


def _drafts(turn: _Turn, stream: Stream, labels: dict[str, Any] | None, is_last: bool) -> Iterator[Draft]:
    if labels is not None:
        yield build.engagement_started(stream, turn.at_us, "conversation", metadata=labels)
    end = turn.at_us
    for said in turn.said:
        end, step_id = said.at_us, said.step_id
        yield build.step_started(stream, said.at_us, step_id, said.name, triggers=said.triggers)
        yield build.event(
            stream, said.at_us, step_id, said.kind, said.model or said.name, payload=said.payload, model=said.model,
            tokens=said.tokens, event_id=f"{step_id}e",
        )  # fmt: skip
        update = {"messages": [said.message]}
        yield build.step_ended(stream, said.at_us, step_id, said.name, StepStatus.COMPLETED, update=update)
    if not turn.said:
        return
    yield build.engagement_ended(stream, end, EngagementStatus.COMPLETED)
