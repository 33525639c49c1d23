"""One call of a model through an SDK, from its beginning to its end.

On the caller's thread it only takes references; what they mean is worked out on the writer's thread (`asked`,
`answer`). Nothing here raises into the SDK: what fails is counted by the recorder.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter_ns
from typing import Any

from ..core._call_scope import CALL, CallScope, outer, softer
from ..core.canonical import encode_json, to_json
from ..core.freeze import freeze
from ..langgraph_adapter import _events as events
from ..langgraph_adapter import _place, _scope, calls
from ..langgraph_adapter._llm import Answer, Seen, completed
from ..langgraph_adapter._scope import Alone
from . import _wire
from ._again import again
from ._wire import Api, Reply

_ALONE = Alone()
_MAX_NUMBERS = 100_000
_OK = 400
CLOSED_EARLY = "closed before its end"


class Call(CallScope, Seen):
    """A call under way. It ends once; whatever is told of it later changes nothing."""

    __slots__ = (
        "__weakref__",
        "above",
        "answers",
        "api",
        "attempts",
        "base_url",
        "body",
        "causes",
        "chunks",
        "encoding",
        "error",
        "given",
        "is_done",
        "is_json",
        "is_stream",
        "known",
        "model",
        "n_tries",
        "owner",
        "perf",
        "provider",
        "reader",
        "reply",
        "request",
        "sent",
        "status",
        "target",
    )

    def __init__(self, api: Api, provider: str, model: str | None, given: Any, owner: Any = None) -> None:
        super().__init__(api.name)
        self.api = api
        self.provider = provider
        self.model = model
        self.given = given
        """The request as the SDK was given it: a mapping, whose values may change."""
        self.owner = owner
        """The SDK's object that makes the call."""
        self.request: Any = None
        """The request as it was sent: JSON."""
        self.body: Any = None
        """The answer: JSON, or an object of the SDK's."""
        self.chunks: list[tuple[int, Any]] = []
        self.is_stream = False
        self.is_json = False
        """Although it is read in parts, the answer is one JSON object."""
        self.encoding: str | None = None
        self.status: int | None = None
        self.attempts = 0
        """How often it was tried again."""
        self.n_tries = 0
        """How often it was tried, where that is counted instead."""
        self.causes: list[Any] = []
        """What each failed attempt came to: a status, or what there was instead."""
        self.error: BaseException | None = None
        self.base_url: Any = None
        self.is_done = False
        self.known: Answer | None = None
        self.reply: Mapping[str, Any] | None = None
        """The answer in the provider's own form, once it is known."""
        self.sent: tuple[str, str] | None = None
        """Message and kind of an error that the provider sent as a part of its answer."""
        self.answers: calls.Answers | None = None
        """Who answers from a record, while a replay runs and nobody above was asked."""
        self.reader: Any = None
        """Makes JSON objects of `chunks` that are objects of the SDK's."""
        self.target: Any = None
        self.above: CallScope | None = None
        self.perf = perf_counter_ns()

    # --- on the caller's thread ---

    def begin(self) -> bool:
        """Begin it; False where nothing is recorded, and no replay runs."""
        above = outer()
        target, key, scope = _place.here()
        self.answers = calls.ANSWERS.get() if above is None else None
        if target is None and self.answers is None:
            return False
        self.target = target
        self.outer = CALL.get()
        for soft in softer():
            soft.tell(self)
        if above is not None:
            self.above = above
            above.tell(self)
            return True
        if target is None:
            return True
        into = scope or (_ALONE if _scope.cell_labels is None else Alone(_scope.cell_labels))
        start = (events.LLM_START, self.perf, self, key, self.api.name, self, _NOTHING, None, into)
        target.put(start)
        return True

    def instead(self) -> str | None:
        """While a replay runs: the model that is to be called in the place of this one. Raises ReplayError."""
        name = None if self.answers is None else self.answers.instead(self.provider)
        if name is not None:
            self.model = name
        return name

    def wanted(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of the call, for the model that is to be called."""
        return {**kwargs, "model": self.model} if self.model is not None and "model" in kwargs else dict(kwargs)

    def ask(self) -> calls.Given | None:
        """While a replay runs, what its record says to this; None: the model is to be called. Raises ReplayError."""
        if self.answers is None:
            return None
        messages, parameters, _ = self.asked()
        asked = calls.SdkCall(self.api.name, self.provider, self.model, messages, parameters)
        return self.answers.sdk(asked)

    def add(self, chunk: Any) -> None:
        """A part of a stream arrived."""
        self.chunks.append((perf_counter_ns(), chunk))

    def failed(self, error: BaseException) -> None:
        """It raised."""
        if self.is_done:
            return
        self.error = error
        if self.request is None:
            self.request = _sent(error)
        self.over()

    def over(self) -> None:
        """It ended, one way or another. Any thread, any number of times."""
        if self.is_done:
            return
        self.is_done, self.is_open = True, False
        if self.request is None:
            # The SDK is through with it; from here on the values are the caller's again.
            self.given = freeze(self.given)[0]
        if self.above is None and self.target is not None and not self.target.recorder.is_closed:
            self.target.put((events.LLM_END, perf_counter_ns(), self, self, None))

    def drop(self, where: str, error: BaseException) -> None:
        """Something of ours went wrong: count it."""
        if self.target is not None:
            self.target.drop(f"capture of {self.api.name}, {where}", error)

    # --- on the writer's thread ---

    def began(self) -> int:
        """When, by `perf_counter_ns`."""
        return self.perf

    def about(self) -> tuple[str, str, str | None, str | None]:
        """The name of a step made for it, its provider, its model and its subtype."""
        return self.api.name, self.provider, self.model, self.api.subtype

    def asked(self) -> tuple[list[Any], dict[str, Any], bool]:
        """Messages and parameters, of what was sent where that is known."""
        sent = _wire.parse(self.request) if self.request is not None else None
        if type(sent) is dict:
            each = again(self.target) if self.answers is None else _wire.each
            messages, parameters = self.api.ask(sent, each)
        else:  # values of the caller's own
            messages, parameters = self.api.ask(self.given if isinstance(self.given, Mapping) else {}, _wire.each)
        return messages, parameters, False

    def answer(self) -> Answer:
        """What is known of the answer by now."""
        if self.known is not None:
            return self.known
        reply = self._reply()
        self.reply, self.sent = reply.body, reply.error
        more = {**reply.more, **self._about_the_way(reply)}
        error_text = reply.error if self.error is None else None
        found = completed(
            Answer(reply.response, reply.tokens, reply.model, self.error, error_text, reply.first_token, more),
            [one for one in self.inner if isinstance(one, Seen)],
        )
        if self.is_done:
            self.known = found
        return found

    def _reply(self) -> Reply:
        if self.is_stream:
            chunks = list(self.chunks)
            if self.is_json:
                whole = _wire.parse(_wire.joined(chunks, self.encoding))
                return self._read(whole) if isinstance(whole, Mapping) else Reply(is_complete=False)
            found = _wire.objects(chunks, self.encoding) if self.reader is None else self.reader(chunks)
            return self.api.fold(found)
        body = _plain(self.body)
        if isinstance(body, Mapping):
            return self._read(body)
        if body is None and isinstance(self.body, bytes) and b"data:" in self.body:
            # A stream that somebody below the SDK has read to its end: a cache, a transport of a test.
            reply = self.api.fold(_wire.objects([(0, self.body)], None))
            reply.first_token = None
            return reply
        return Reply()

    def _read(self, body: Mapping[str, Any]) -> Reply:
        reply = self.api.read(body)
        reply.body = body
        return reply

    def raw(self) -> dict[str, Any] | None:
        """See `Seen.raw`. Numbers of embeddings that are many are left out."""
        self.answer()
        reply = self.reply if self.error is None else _wire.sent_back(self.error)
        if self.api.subtype == "embedding" and reply is not None and len(encode_json(to_json(reply))) > _MAX_NUMBERS:
            reply = None
        found: dict[str, Any] = {"api": self.api.name, "reply": reply}
        if self.sent is not None and self.error is None:
            found["error"] = dict(zip(("message", "type"), self.sent, strict=True))
        status = getattr(self.error, "status_code", None) or getattr(self.error, "code", None)
        return {**found, "status": status} if isinstance(status, int) else found

    def _about_the_way(self, reply: Reply) -> dict[str, Any]:
        more: dict[str, Any] = {}
        n_retries = max(self.attempts, self.n_tries - 1)
        causes = self.causes[:n_retries] if self.n_tries else self.causes
        n_retries = max(n_retries, len(causes))
        if n_retries:
            more["retries"] = n_retries
            more["retried_after"] = causes
        status = getattr(self.error, "status_code", None) or getattr(self.error, "code", None) or self.status
        if isinstance(status, int) and (status >= _OK or self.error is not None):
            more["http_status"] = status
        if self.is_stream and not reply.is_complete and self.error is None and reply.error is None and self.is_done:
            more["stream"] = CLOSED_EARLY
        host = getattr(self.base_url, "host", None)
        if host and not str(host).endswith(_OWN_HOSTS):
            more["server"] = str(host)
        return more


_NOTHING: dict[str, Any] = {}
_OWN_HOSTS = ("api.openai.com", "api.anthropic.com", "googleapis.com")


def copied(answer: Any) -> Any:
    """An SDK's answer as it is now: Instructor, for one, adds up usage in it. None: it cannot be read."""
    try:
        copy = answer.model_copy()
        usage = vars(copy).get("usage")
        if usage is not None:
            vars(copy)["usage"] = usage.model_copy()
        return copy
    except Exception:
        return answer if hasattr(answer, "model_dump") else None


def _sent(error: BaseException) -> Any:
    """What was sent, as an SDK's exception knows it."""
    try:
        return getattr(error, "request").content  # noqa: B009  (any exception may come here)
    except Exception:
        return None


def _plain(body: Any) -> Any:
    """A body as plain values: JSON, or an object that can be dumped."""
    if isinstance(body, (bytes, str)):
        return _wire.parse(body)
    dump = getattr(body, "model_dump", None)
    if not callable(dump):
        return body
    # Google's objects have the names of their JSON as aliases.
    return dump(mode="json", warnings=False, by_alias=type(body).__module__.startswith("google."))
