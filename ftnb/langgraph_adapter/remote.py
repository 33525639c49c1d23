"""Graphs on a server: each run of a `RemoteGraph` is one step, with its run id and what it streamed.

RemoteGraph calls none of LangChain's callbacks, so its `stream` and `astream` are wrapped, and those of the client that
they use, where the run id and the interrupts pass (`_remote_events` for `stream_events`). The wrappers look on: request
and chunks are the user's own.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import ContextVar
from time import perf_counter_ns
from typing import Any

from ..core.freeze import freeze
from ..core.ids import new_id
from . import _events as events
from . import _place, _remote_events
from ._clock import offset_ns
from ._remote_runs import Asked, RemoteRuns
from ._scope import SCOPE

MODULE = "langgraph.pregel.remote"
_wrapped: list[tuple[type, str, Any, Any]] = []
_RUN: ContextVar[_Run | None] = ContextVar("ftnb_remote_run", default=None)
"""The run whose chunks pass here."""


def install() -> None:
    """Look on at remote graphs. Twice is fine; where they are not imported, nothing happens."""
    module = sys.modules.get(MODULE)
    if module is None or _wrapped:
        return
    from langgraph_sdk.client import RunsClient, SyncRunsClient

    graph: Any = vars(module)["RemoteGraph"]
    _wrap(graph, "stream", _stream)
    _wrap(graph, "astream", _astream)
    _wrap(SyncRunsClient, "stream", _parts)
    _wrap(RunsClient, "stream", _aparts)
    _remote_events.install(module, graph, _wrap, lambda graph, *asked: _Run.of(graph, asked, {}, False))


def remove() -> None:
    """Take the wrappers out, unless somebody has wrapped them since; those only pass on where nothing is recorded."""
    while _wrapped:
        owner, name, original, tapped = _wrapped.pop()
        if owner.__dict__.get(name) is tapped:
            setattr(owner, name, original)


def _wrap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    original = owner.__dict__[name]
    tapped = functools.wraps(original)(make(original))
    setattr(owner, name, tapped)
    _wrapped.append((owner, name, original, tapped))


class _Run:
    """One run of a remote graph, seen from the caller's thread. Nothing here raises."""

    def __init__(self, target: Any, graph: Any, asked: Asked) -> None:
        self._target = target
        self._graph = graph
        self._asked = asked
        self._last: Any = None

    @classmethod
    def of(cls, graph: Any, args: Any, kwargs: Any, is_node: bool) -> _Run | None:
        """A run that begins here; None where nothing is recorded."""
        target = _place.target()
        if target is None:
            return None
        try:
            place = _place.place_in(SCOPE.get())
            given = args[0] if args else kwargs.get("input")
            config = (args[1] if len(args) > 1 else kwargs.get("config")) or {}
            own = getattr(graph, "config", None) or {}
            configurable = {**(own.get("configurable") or {}), **(config.get("configurable") or {})}
            thread = configurable.get("thread_id")
            is_own = is_node and place is not None and place.key is not None
            asked = Asked(
                new_id(), place, str(graph.name), str(graph.assistant_id), None if thread is None else str(thread),
                _address(graph), is_own, type(given).__name__ == "Command",
            )  # fmt: skip
            target.send(events.CALL, RemoteRuns.began, perf_counter_ns(), offset_ns(), asked, freeze(_plain(given)))
        except Exception as error:
            target.drop("a remote graph's start", error)
            return None
        return cls(target, graph, asked)

    def part(self, part: Any) -> None:
        """A part of the server's stream."""
        try:
            self.told(str(part.event), part.data)
        except Exception as error:
            self.drop("a part of a remote graph's stream", error)

    def told(self, name: str, data: Any) -> None:
        """The server said something."""
        self._target.send(events.CALL, RemoteRuns.part, perf_counter_ns(), self._asked, name, freeze(data))

    def drop(self, where: str, error: BaseException) -> None:
        """Something of ours went wrong: count it."""
        self._target.drop(where, error)

    def ended(self, error: BaseException | None) -> None:
        """The stream came to its end, or raised."""
        try:
            self._target.send(events.CALL, RemoteRuns.ended, perf_counter_ns(), offset_ns(), self._asked, error)
        except Exception as fault:
            self._target.drop("a remote graph's end", fault)


def _plain(given: Any) -> Any:
    """A `Command` as what it says; anything else as it is."""
    if type(given).__name__ != "Command":
        return given
    return {key: getattr(given, key, None) for key in ("resume", "goto", "update") if getattr(given, key, None)}


def _address(graph: Any) -> str | None:
    for client in (graph.sync_client, graph.client):
        url = getattr(getattr(getattr(client, "http", None), "client", None), "base_url", None)
        if url is not None:
            return str(url)
    return None


def _is_node() -> bool:
    """Whether LangGraph itself runs the remote graph, as a node; then the node is the step."""
    frame = sys._getframe(2)
    if frame.f_code.co_name in ("invoke", "ainvoke") and frame.f_globals.get("__name__") == MODULE:
        frame = frame.f_back or frame
    return str(frame.f_globals.get("__name__", "")).startswith(("langgraph._internal", "langgraph.utils"))


def _stream(original: Any) -> Any:
    def stream(self: Any, *args: Any, **kwargs: Any) -> Any:
        inner = original(self, *args, **kwargs)
        return inner if _place.target() is None else _passed_on(self, inner, args, kwargs, _is_node())

    return stream


def _passed_on(graph: Any, inner: Any, args: Any, kwargs: Any, is_node: bool) -> Generator[Any, Any, Any]:
    run = _Run.of(graph, args, kwargs, is_node)
    ask: Callable[[], Any] = inner.__next__
    error: BaseException | None = None
    try:
        while True:
            before = _RUN.get()
            _RUN.set(run)
            try:
                chunk = ask()
            except StopIteration as stop:
                return stop.value
            finally:
                _RUN.set(before)
            try:
                yield chunk
            except GeneratorExit:
                inner.close()
                raise
            except BaseException as thrown:
                ask = functools.partial(inner.throw, thrown)
            else:
                ask = inner.__next__
    except BaseException as raised:
        error = raised
        raise
    finally:
        if run is not None:
            run.ended(error)


def _astream(original: Any) -> Any:
    def astream(self: Any, *args: Any, **kwargs: Any) -> Any:
        inner = original(self, *args, **kwargs)
        return inner if _place.target() is None else _apassed_on(self, inner, args, kwargs, _is_node())

    return astream


async def _apassed_on(graph: Any, inner: Any, args: Any, kwargs: Any, is_node: bool) -> AsyncGenerator[Any, Any]:
    run = _Run.of(graph, args, kwargs, is_node)
    ask: Callable[[], Any] = inner.__anext__
    error: BaseException | None = None
    try:
        while True:
            before = _RUN.get()
            _RUN.set(run)
            try:
                chunk = await ask()
            except StopAsyncIteration:
                return
            finally:
                _RUN.set(before)
            try:
                yield chunk
            except GeneratorExit:
                await inner.aclose()
                raise
            except BaseException as thrown:
                ask = functools.partial(inner.athrow, thrown)
            else:
                ask = inner.__anext__
    except BaseException as raised:
        error = raised
        raise
    finally:
        if run is not None:
            run.ended(error)


# --- the client below: what it yields, only looked at ---


def _parts(original: Any) -> Any:
    def stream(self: Any, *args: Any, **kwargs: Any) -> Any:
        parts, run = original(self, *args, **kwargs), _RUN.get()
        return parts if run is None else _looked_at(parts, run)

    return stream


def _looked_at(parts: Any, run: _Run) -> Generator[Any, Any, Any]:
    for part in parts:
        run.part(part)
        yield part


def _aparts(original: Any) -> Any:
    def stream(self: Any, *args: Any, **kwargs: Any) -> Any:
        parts, run = original(self, *args, **kwargs), _RUN.get()
        return parts if run is None else _alooked_at(parts, run)

    return stream


async def _alooked_at(parts: Any, run: _Run) -> AsyncGenerator[Any, Any]:
    async for part in parts:
        run.part(part)
        yield part
