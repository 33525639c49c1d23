"""Runs of a remote graph through `stream_events(version="v3")`: one step, from the start of its `with` to the end.

What such a run streams passes through an event stream of the SDK's, of which there are several at once: one that the
SDK keeps for itself, to know how the run stands, and whatever the user's code subscribes to. Each event is recorded
once, by its id, and only those that the server sent: nothing is subscribed to for us.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

SYNC, ASYNC = "_RemoteGraphRunStream", "_AsyncRemoteGraphRunStream"
_TRANSPORTS = ("SyncProtocolSseTransport", "SyncProtocolWebSocketTransport")
_ATRANSPORTS = ("ProtocolSseTransport", "ProtocolWebSocketTransport")
Wrap = Callable[[Any, str, Callable[[Any], Any]], None]
Begin = Callable[[Any, Any, Any], Any]

_asked: weakref.WeakKeyDictionary[Any, tuple[Any, Any, Any]] = weakref.WeakKeyDictionary()
"""Of a stream that was made and perhaps not begun: its graph, input and config."""
_running: weakref.WeakKeyDictionary[Any, EventRun] = weakref.WeakKeyDictionary()
_by_thread: dict[str, EventRun] = {}
"""Of each thread, the run that began last: the SDK's streams know their thread."""


def install(module: Any, graph: Any, wrap: Wrap, begin: Begin) -> None:
    """Look on. `begin(graph, input, config)` begins a run; None where nothing is recorded.

    LangGraph before 1.2 has no such streams. One that has them otherwise is left alone: its runs are not recorded.
    """
    if not hasattr(module, SYNC) or not hasattr(module, ASYNC):
        return
    from langgraph_sdk.stream import transport

    places: list[tuple[Any, str, Callable[[Any], Any]]] = [
        (graph, "stream_events", _made),
        (graph, "astream_events", _amade),
        (getattr(module, SYNC), "__enter__", functools.partial(_entered, begin)),
        (getattr(module, SYNC), "__exit__", _left),
        (getattr(module, SYNC), "abort", _aborted),
        (getattr(module, ASYNC), "__aenter__", functools.partial(_aentered, begin)),
        (getattr(module, ASYNC), "__aexit__", _aleft),
        (getattr(module, ASYNC), "abort", _aaborted),
    ]
    for name in (*_TRANSPORTS, *_ATRANSPORTS):
        looked_at = functools.partial(_opened, name in _ATRANSPORTS)
        places.append((getattr(transport, name, object), "open_event_stream", looked_at))
    if all(name in vars(owner) for owner, name, _ in places):
        for place in places:
            wrap(*place)


class EventRun:
    """One run, as its events tell of it. Nothing here raises."""

    def __init__(self, run: Any, thread_id: str) -> None:
        self._run = run
        self._thread_id = thread_id
        self._seen: set[Any] = set()
        self._is_over = False
        self._is_paused = False
        self._failed: str | None = None
        _by_thread[thread_id] = self

    def look(self, event: Any) -> None:
        """An event came from the server."""
        try:
            key = event.get("event_id") or event.get("seq")
            if self._run is None or key in self._seen:
                return
            if key is not None:
                self._seen.add(key)
            params = event.get("params") or {}
            self._told(str(event.get("method")), params.get("namespace") or [], params.get("data"))
        except Exception as error:
            self._run.drop("an event of a remote graph", error)

    def _told(self, method: str, namespace: list[str], data: Any) -> None:
        if method != "lifecycle":
            self._is_paused = self._is_paused or method == "input.requested"
            self._run.told("|".join([method, *namespace]), data)
        elif not namespace and data["event"] in ("completed", "failed"):
            self._is_over = True
            if data["event"] == "failed":
                self._failed = str(data.get("error") or "the run failed")

    def started(self, run_id: str | None) -> None:
        """The server has accepted it."""
        self._run.told("metadata", {"run_id": run_id})

    def end(self, error: BaseException | None) -> None:
        """Its block ended. A run that was neither over nor waiting was left."""
        run, self._run = self._run, None
        if run is None:
            return
        if _by_thread.get(self._thread_id) is self:
            del _by_thread[self._thread_id]
        if error is None and self._failed is not None:
            error = RuntimeError(self._failed)
        elif error is None and not self._is_over and not self._is_paused:
            error = GeneratorExit()
        run.ended(error)


def _begun(stream: Any, begin: Begin) -> EventRun | None:
    asked = _asked.get(stream)
    if asked is None or stream in _running:
        return None
    graph, given, config = asked
    thread_id = str(stream._sdk.thread_id)
    configurable = {**((config or {}).get("configurable") or {}), "thread_id": thread_id}
    run = begin(graph, given, {"configurable": configurable})
    if run is None:
        return None
    found = _running[stream] = EventRun(run, thread_id)
    return found


def _made(original: Any) -> Any:
    def stream_events(self: Any, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return _noted(original(self, input, config, **kwargs), self, input, config)

    return stream_events


def _amade(original: Any) -> Any:
    async def astream_events(self: Any, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return _noted(await original(self, input, config, **kwargs), self, input, config)

    return astream_events


def _noted(stream: Any, graph: Any, given: Any, config: Any) -> Any:
    if type(stream).__name__ in (SYNC, ASYNC):
        _asked[stream] = graph, given, config
    return stream


def _entered(begin: Begin, original: Any) -> Any:
    def __enter__(self: Any) -> Any:
        run = _begun(self, begin)
        if run is None:
            return original(self)
        try:
            result = original(self)
        except BaseException as error:
            run.end(error)
            raise
        run.started(self._run_id)
        _watch_state(self._sdk, run)
        return result

    return __enter__


def _aentered(begin: Begin, original: Any) -> Any:
    async def __aenter__(self: Any) -> Any:
        run = _begun(self, begin)
        if run is None:
            return await original(self)
        try:
            result = await original(self)
        except BaseException as error:
            run.end(error)
            raise
        run.started(self._run_id)
        _awatch_state(self._sdk, run)
        return result

    return __aenter__


def _left(original: Any) -> Any:
    def __exit__(self: Any, kind: Any, error: Any, trace: Any) -> Any:
        try:
            return original(self, kind, error, trace)
        finally:
            _end(self, error)

    return __exit__


def _aleft(original: Any) -> Any:
    async def __aexit__(self: Any, kind: Any, error: Any, trace: Any) -> Any:
        try:
            return await original(self, kind, error, trace)
        finally:
            _end(self, error)

    return __aexit__


def _aborted(original: Any) -> Any:
    def abort(self: Any) -> None:
        try:
            original(self)
        finally:
            _end(self, None)

    return abort


def _aaborted(original: Any) -> Any:
    async def abort(self: Any) -> None:
        try:
            await original(self)
        finally:
            _end(self, None)

    return abort


def _end(stream: Any, error: BaseException | None) -> None:
    run = _running.pop(stream, None)
    if run is not None:
        vars(stream._sdk).pop("_fetch_state", None)
        run.end(error)


# --- below: what the SDK reads from the server ---


def _watch_state(sdk: Any, run: EventRun) -> None:
    """`output` is read from the thread's state, which is not streamed."""
    fetch = sdk._fetch_state

    def fetch_state() -> Any:
        state = fetch()
        _state(run, state)
        return state

    sdk._fetch_state = fetch_state


def _awatch_state(sdk: Any, run: EventRun) -> None:
    fetch = sdk._fetch_state

    async def fetch_state() -> Any:
        state = await fetch()
        _state(run, state)
        return state

    sdk._fetch_state = fetch_state


def _state(run: EventRun, state: Any) -> None:
    if isinstance(state, dict):
        run.look({"method": "state", "params": {"data": state.get("values")}})


def _opened(is_async: bool, original: Any) -> Any:
    def open_event_stream(self: Any, *args: Any, **kwargs: Any) -> Any:
        handle = original(self, *args, **kwargs)
        run = _by_thread.get(getattr(self, "thread_id", ""))
        if run is not None:
            handle.events = (_alooked_at if is_async else _looked_at)(handle.events, run)
        return handle

    return open_event_stream


def _looked_at(parts: Any, run: EventRun) -> Generator[Any, None, None]:
    try:
        for event in parts:
            run.look(event)
            yield event
    finally:
        parts.close()


async def _alooked_at(parts: Any, run: EventRun) -> AsyncGenerator[Any, None]:
    try:
        async for event in parts:
            run.look(event)
            yield event
    finally:
        await parts.aclose()
