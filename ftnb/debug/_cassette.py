"""Recorded answers of models and tools, found by the content of what was asked.

    use         a model, asked the same   a model, else   a tool, same arguments       a tool, else
    recorded    its recorded answer       called          its recorded result          called if safe
    live        called                    called          called if safe, else so      called if safe
    refuse      its recorded answer       refused         its recorded result          refused

Whatever is refused ends the replay. A recorded answer is given once for each time that it was recorded, and the last
one again after that. A call through a provider's SDK goes like one of a model, where calls of its kind are on record;
else, and where the answer is not, it is refused, unless `allow_live` names provider or model: then it is called.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal, TypeVar

from ..core import redact
from ..core.canonical import encode_json, to_json
from ..core.errors import InvalidArgumentError, ReplayError
from ..langgraph_adapter import _llm
from ..langgraph_adapter.calls import SdkCall
from ._recorded import Call, Recorded, Task

Use = Literal["recorded", "live", "refuse"]
USES = ("recorded", "live", "refuse")
T = TypeVar("T")
_safe: dict[int, Callable[[], Any]] = {}


def safe(tool: T) -> T:
    """Mark a tool (a LangChain tool, or the function it is made of) as one that may be called again at any time.

    It reads, or does the same thing twice without harm. `tool` itself comes back, so this is a decorator too.
    """
    if isinstance(tool, str) or not (callable(tool) or hasattr(tool, "name")):
        raise InvalidArgumentError(f"safe() takes a tool or its function, got {tool!r}; names go into safe_tools=[…]")
    key = id(tool)
    try:
        _safe[key] = weakref.ref(tool, lambda _: _safe.pop(key, None))
    except TypeError:  # no weak references to it
        _safe[key] = lambda: tool
    return tool


def is_marked(tool: Any) -> bool:
    """Whether `safe` was said of a tool, or of the function that it calls."""
    parts = (tool, *(getattr(tool, name, None) for name in ("func", "coroutine", "handler")))
    return any(part is not None and id(part) in _safe and _safe[id(part)]() is part for part in parts)


@dataclass(slots=True)
class Entry:
    """One recorded call, and how often its answer was given."""

    call: Call
    task: Task
    settings: str = ""
    used: int = 0


@dataclass(slots=True)
class Served:
    """One call that a replay made, and where its answer came from."""

    kind: str
    name: str
    how: Literal["recorded", "live", "refused", "assumed"]
    node: str
    entry: Entry | None = None
    why: str = ""
    """For an assumed answer: prompt, model or tool, whichever is not as recorded."""
    asked: Any = None
    settings: Any = None


@dataclass
class Cassette:
    """The recorded calls of some tasks, and the rules by which a replay may use or repeat them."""

    recorded: Recorded
    use: Use = "recorded"
    safe_tools: frozenset[str] = frozenset()
    all_safe: bool = False
    allow_live: frozenset[str] = frozenset()
    """Providers and models that are called through their SDK, whatever is on record."""
    model: Any = None
    """A chat model, or the name of one, in the place of each that is called."""
    assumes: bool = False
    """Give what was said at the same place where nothing is recorded for what is asked, and note that."""
    edits: Mapping[str, Any] = field(default_factory=dict)
    """Event ids to what their tool says instead."""
    log: list[Served] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[tuple[str, str, str], list[Entry]] | None = None
        self._by_node: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)

    # --- what a replay asks ---

    def ask_model(self, messages: Any, parameters: Mapping[str, Any], node: str) -> Entry | None:
        """The recorded answer to `messages`; None: the model is to be called. Raises ReplayError where it may not."""
        name = str(parameters.get("model") or parameters.get("model_name") or "")
        if self.model is not None or self.use == "live":
            self._note(Served("llm", name, "live", node))
            return None
        with self._lock:
            found = self._find("llm", "", _message_keys(messages))
            settings = settings_of(parameters)
            exact = [entry for entry in found if entry.settings == settings]
            if exact:
                return self._give(exact, "llm", name, node)
            if self.assumes:
                near = found or self._at("llm", "", node)
                if near:
                    entry = self._give(near, "llm", name, node, "model" if found else "prompt", messages)
                    self.log[-1].settings = _llm.parameters(parameters)
                    return entry
        if self.use == "recorded" and not self.assumes and not self.refused:
            self._note(Served("llm", name, "live", node))
            return None
        raise self._refuse("llm", name, node, "no answer of a model to these messages is on record", "")

    def would_call(self, messages: Any, parameters: Mapping[str, Any], node: str) -> bool:
        """Whether a model that streams is to be called; noted when it is, for its stream asks no further."""
        if self.model is None and self.use != "live":
            with self._lock:
                settings = settings_of(parameters)
                known = any(one.settings == settings for one in self._find("llm", "", _message_keys(messages)))
            if known or self.assumes or self.refused or self.use == "refuse":
                return False
        name = str(parameters.get("model") or parameters.get("model_name") or "")
        self._note(Served("llm", name, "live", node))
        return True

    def ask_tool(self, tool: Any, name: str, arguments: Any, node: str, kind: str = "tool") -> Entry | None:
        """The recorded result of a tool or retriever; None: it is to be called. Raises ReplayError."""
        may_call = kind == "retriever" or self._is_safe(tool, name)
        if self.use == "live" and may_call and not self.assumes and not self.refused:
            self._note(Served(kind, name, "live", node))
            return None
        with self._lock:
            found = self._find(kind, name, _keys_of(arguments))
            if found:
                return self._give(found, kind, name, node)
            if self.assumes and (near := self._at(kind, name, node)):
                return self._give(near, kind, name, node, why="tool", asked=arguments)
        if self.use != "refuse" and may_call and not self.assumes and not self.refused:
            self._note(Served(kind, name, "live", node))
            return None
        why = "no result of it with these arguments is on record"
        hint = "" if may_call else (
            f", and it is not marked safe to be called again: say ftnb.safe({name}), or pass safe_tools=[{name!r}]"
        )  # fmt: skip
        raise self._refuse(kind, name, node, why, hint)

    def ask_sdk(self, asked: SdkCall, node: str) -> Entry | None:
        """The recorded answer to a call through a provider's SDK; None: it is to be called. Raises ReplayError."""
        name = asked.model or asked.provider
        if self.model is not None or self.use == "live" or self._is_allowed(asked):
            self._note(Served("sdk", name, "live", node))
            return None
        with self._lock:
            found = self._find("sdk", asked.api, _keys_of(asked.messages, "messages"))
            settings = settings_of(asked.parameters)
            exact = [entry for entry in found if entry.settings == settings]
            given: Entry | None = None
            if exact:
                given = self._give(exact, "sdk", name, node)
            elif self.assumes and (near := found or self._at("sdk", asked.api, node)):
                given = self._give(near, "sdk", name, node, "model" if found else "prompt", asked.messages)
                self.log[-1].settings = _llm.parameters(asked.parameters)
        if given is not None:
            if self._can_be_given(given):
                return given
            self.log.pop()
            hint = "" if self.use == "refuse" else (
                f"; to call it, pass allow_live=[{asked.provider!r}] or use='live'"
            )  # fmt: skip
            why = f"it was called through the SDK of {asked.provider}, and its answer is not on record ({asked.api})"
            raise self._refuse("sdk", name, node, why, hint)
        why, hint = f"no answer of {asked.provider} to these messages is on record", ""
        if self.use == "recorded" and not self.assumes and not self.refused:
            if self.knows(asked.api):
                self._note(Served("sdk", name, "live", node))
                return None
            why = f"no call through the SDK of {asked.provider} is on record here (was it captured then?)"
            hint = f"; to call it, pass allow_live=[{asked.provider!r}] or use='live'"
        raise self._refuse("sdk", name, node, why, hint)

    def knows(self, api: str) -> bool:
        """Whether calls of that operation of an SDK are on record."""
        with self._lock:
            self._find("sdk", "", ())
            return any(kind == "sdk" and name == api for kind, name, _ in self._by_node)

    def asks_below(self, node: str) -> bool:
        """Whether the models of `node` were recorded as an SDK saw them, so that it is the SDK that asks."""
        with self._lock:
            self._find("sdk", "", ())
            kinds = {kind for kind, _, name in self._by_node if name == node}
        return "sdk" in kinds and "llm" not in kinds

    def instead(self, provider: str) -> str | None:
        """The model that an SDK is to call in the place of each. Raises ReplayError where that cannot be."""
        if self.model is None or isinstance(self.model, str):
            return self.model
        raise self._refuse(
            "sdk", provider, "", f"model= is a {type(self.model).__name__}, and the node calls the SDK of {provider}",
            "; give the name of a model of that provider: model=\"…\""
        )  # fmt: skip

    def _is_allowed(self, asked: SdkCall) -> bool:
        allowed = self.use == "recorded" and bool(self.allow_live & {asked.provider, asked.model})
        return allowed and not self.assumes and not self.refused

    def _can_be_given(self, entry: Entry) -> bool:
        payload = self.recorded.value(entry.call.payload) or {}
        return bool((payload.get("raw") or {}).get("reply")) or entry.call.error is not None

    def n_by_how(self) -> dict[str, int]:
        """How many calls were answered from the record, made again, or refused."""
        return dict(Counter(served.how for served in self.log))

    # --- how it is found ---

    def _is_safe(self, tool: Any, name: str) -> bool:
        return self.all_safe or name in self.safe_tools or is_marked(tool)

    def _find(self, kind: str, name: str, keys: Iterable[Callable[[], str]]) -> list[Entry]:
        if self._by_key is None:
            self._by_key = self._indexed()
        for key in keys:
            found = self._by_key.get((kind, name, key()))
            if found:
                return found
        return []

    def _at(self, kind: str, name: str, node: str) -> list[Entry]:
        """The next call of that node which was not given yet."""
        return [entry for entry in self._by_node.get((kind, name, node), ()) if not entry.used][:1]

    def _give(self, found: list[Entry], kind: str, name: str, node: str, why: str = "", asked: Any = None) -> Entry:
        entry = next((one for one in found if not one.used), found[-1])
        entry.used += 1
        self._note(Served(kind, name, "assumed" if why else "recorded", node, entry, why, asked))
        return entry

    def _refuse(self, kind: str, name: str, node: str, why: str, hint: str) -> ReplayError:
        what = f"{ {'llm': 'the model', 'sdk': 'the model'}.get(kind, kind) } {name!r}"
        rule = f" (use={self.use!r})" if self.use != "recorded" else ""
        message = f"{what} was not called in {node or 'the replay'}{rule}: {why}{hint}"
        self.refused.append(message)
        self._note(Served(kind, name, "refused", node))
        return ReplayError(message)

    def _note(self, served: Served) -> None:
        self.log.append(served)

    def _indexed(self) -> dict[tuple[str, str, str], list[Entry]]:
        by_key: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
        for task in self.recorded.tasks:
            for call in task.calls:
                payload = self.recorded.value(call.payload) or {}
                entry = Entry(call, task)
                if isinstance(payload.get("raw"), dict):
                    entry.settings = settings_of(payload.get("parameters") or {})
                    key = ("sdk", str(payload["raw"].get("api")), _digest(payload.get("messages")))
                elif call.kind == "llm":
                    if not payload.get("response") and call.error is None:
                        continue
                    entry.settings = settings_of(payload.get("parameters") or {})
                    key = ("llm", "", _digest(payload.get("messages")))
                else:
                    done = "documents" if call.kind == "retriever" else "result"
                    if done not in payload and call.error is None:
                        continue
                    key = (call.kind, call.name, _digest(payload.get("query" if call.kind == "retriever" else "args")))
                by_key[key].append(entry)
                self._by_node[key[0], key[1], task.full].append(entry)
        return by_key


def settings_of(parameters: Mapping[str, Any]) -> str:
    """A short name of a call's parameters: model, temperature, tools …"""
    return _digest(_llm.parameters(parameters))


def readable(messages: Any) -> list[Any]:
    """Messages as they are recorded with a call."""
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    return [_llm.message(one) for one in messages]


def _message_keys(messages: Any) -> list[Callable[[], str]]:
    return _keys_of(readable(messages), "messages")


def _keys_of(value: Any, name: str = "args") -> list[Callable[[], str]]:
    """Names of what is asked: as it is, and as it was recorded where secrets are masked."""
    rules = redact.active()
    plain = [lambda: _digest(value)]
    if rules is None:
        return plain
    return [*plain, lambda: _digest(_masked(rules, value, name))]


def _masked(rules: redact.Redaction, value: Any, name: str) -> Any:
    masked = rules.to_json({name: value}, "@payload")
    return masked.get(name) if isinstance(masked, dict) else masked


def _digest(value: Any) -> str:
    return blake2b(encode_json(to_json(value)), digest_size=12).hexdigest()
