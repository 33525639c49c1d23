"""The two WebSockets: the records as they are appended, and what the viewer's pages ask and are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..core._plain_json import encode
from ..core.errors import FtnbError
from ..store.base import Store
from ._activity import ActivityRoom
from ._rooms import Rooms, RunRoom
from ._viewer import Viewer

_MAX_MESSAGE = 64_000
_STUCK_SECONDS = 30.0
"""A browser that takes nothing for so long is sent away."""
_QUESTIONS = ("fetch", "detail", "search", "inspect", "family")


async def stream_records(socket: WebSocket, store: Store) -> None:
    """Every record from now on, one JSON object a message."""
    records: AsyncIterator[Any] = store.subscribe()  # before the handshake ends: nothing falls between
    await socket.accept()

    async def send() -> None:
        async for record in records:
            await asyncio.wait_for(socket.send_text(encode(record).decode()), _STUCK_SECONDS)

    async def receive() -> None:
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass

    await _first_of(socket, send, receive)


class LiveSocket:
    """One page of the viewer: the list, or one run, and questions about it."""

    def __init__(self, socket: WebSocket, rooms: Rooms, activity: ActivityRoom | None) -> None:
        self._socket, self._rooms, self._activity = socket, rooms, activity
        self._viewer = Viewer()
        self._room: RunRoom | None = None
        self._has_list = False

    async def run(self) -> None:
        """Serve the page until it goes."""
        await self._socket.accept()
        try:
            await _first_of(self._socket, self._send, self._receive)
        finally:
            with anyio.CancelScope(shield=True):
                await asyncio.to_thread(self._leave)

    def _leave(self) -> None:
        if self._activity is not None:
            self._activity.leave(self._viewer)
        if self._room is not None:
            self._rooms.leave(self._room, self._viewer)
            self._room = None

    async def _send(self) -> None:
        while True:
            item = await self._viewer.take()
            if isinstance(item, int):
                for text in await asyncio.to_thread(self._whole):
                    await self._give(text)
                item = encode({"op": "dropped", "n": self._viewer.n_dropped}).decode()
            await self._give(item)

    async def _give(self, text: str) -> None:
        await asyncio.wait_for(self._socket.send_text(text), _STUCK_SECONDS)

    def _whole(self) -> list[str]:
        parts = [self._activity.whole()] if self._activity is not None and self._has_list else []
        return [*parts, self._room.whole()] if self._room is not None else parts

    async def _receive(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            asked = _read(message.get("text"))
            if asked is not None:
                # One after the other: a page that asks faster than it is answered waits, not the server.
                await asyncio.to_thread(self._take, asked)

    def _take(self, asked: dict[str, Any]) -> None:
        op, room = asked.get("op"), self._room
        if op == "list" and self._activity is not None:
            self._has_list = True
            self._viewer.post(self._activity.enter(self._viewer))
        elif op == "watch" and isinstance(asked.get("engagement"), str):
            self._watch(asked["engagement"])
        elif op == "unwatch":
            self._unwatch()
        elif op == "hello" and room is not None:
            self._viewer.post(room.whole())
        elif op in _QUESTIONS:
            self._answer(asked)

    def _watch(self, engagement_id: str) -> None:
        self._unwatch()
        try:
            self._room = self._rooms.enter(engagement_id, self._viewer)
            self._viewer.post(self._room.whole())
        except (FtnbError, ValueError) as error:
            said = {"op": "problem", "engagement": engagement_id, "error": str(error) or type(error).__name__}
            self._viewer.post(encode(said).decode())

    def _unwatch(self) -> None:
        if self._room is not None:
            self._rooms.leave(self._room, self._viewer)
            self._room = None

    def _answer(self, asked: dict[str, Any]) -> None:
        op, field = ("value", "preview") if asked["op"] == "fetch" else ("answer", "value")
        answer: dict[str, Any] = {"op": op, "seq": asked.get("seq"), field: None, "error": None}
        if self._room is None:
            answer["error"] = "no run is open"
        else:
            try:
                answer[field] = self._room.answer(asked)
            except (FtnbError, LookupError, TypeError, ValueError, OSError) as error:
                answer["error"] = str(error) or type(error).__name__
        self._viewer.post(encode(answer).decode())


def _read(text: str | None) -> dict[str, Any] | None:
    """A message of the browser; None for whatever is none."""
    if text is None or len(text) > _MAX_MESSAGE:
        return None
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return asked if isinstance(asked, dict) else None


async def _first_of(socket: WebSocket, *jobs: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run until one of `jobs` ends, then end the others and the socket."""
    async with anyio.create_task_group() as group:

        async def run(job: Callable[[], Coroutine[Any, Any, None]]) -> None:
            try:
                await job()
            except (WebSocketDisconnect, TimeoutError, OSError):
                pass  # it is gone, or takes nothing
            group.cancel_scope.cancel()

        for job in jobs:
            group.start_soon(run, job)
    try:
        with anyio.move_on_after(1.0):
            await socket.close()
    except (RuntimeError, OSError, WebSocketDisconnect):
        pass  # it is gone already
