"""Reading along with an HTTP response that is streamed: its parts, its end, its error, and that it was left half read.

The response's byte stream is what everybody reads from, whether through the SDK's iterators, its helpers or by hand. So
one wrapper around it sees every way to read, and no object that the user holds changes.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ._call import Call

_classes: dict[str, tuple[Any, Any]] = {}


def tee(response: Any, call: Call) -> bool:
    """Have `call` read along with `response` (of httpx or a package of its form); False where that cannot be done."""
    package = type(response).__module__.partition(".")[0]
    module = sys.modules.get(package)
    stream = getattr(response, "stream", None)
    sync_base, async_base = getattr(module, "SyncByteStream", None), getattr(module, "AsyncByteStream", None)
    if sync_base is None or async_base is None:
        return False
    if package not in _classes:
        _classes[package] = _make(sync_base, async_base)
    sync_tee, async_tee = _classes[package]
    if isinstance(stream, sync_base):
        response.stream = sync_tee(stream, call)
    elif isinstance(stream, async_base):
        response.stream = async_tee(stream, call)
    else:
        return False
    call.encoding = response.headers.get("content-encoding")
    call.is_json = "application/json" in response.headers.get("content-type", "")
    return True


class _Tee:
    def __init__(self, inner: Any, call: Call) -> None:
        self._inner = inner
        self._call = call

    def __getattr__(self, name: str) -> Any:
        if name in ("_inner", "_call"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    def __del__(self) -> None:
        # Nobody read it to its end, and nobody closed it.
        try:
            self._call.over()
        except Exception:  # the interpreter may be going down
            pass


def _make(sync_base: Any, async_base: Any) -> tuple[Any, Any]:
    """The wrapper classes for one HTTP package, which asks whether a stream is of its own classes."""

    class SyncTee(_Tee, sync_base):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            add = self._call.add
            try:
                for chunk in self._inner:
                    add(chunk)
                    yield chunk
            except GeneratorExit:
                raise  # it is closed next
            except BaseException as error:
                self._call.failed(error)
                raise
            self._call.over()

        def close(self) -> None:
            try:
                self._inner.close()
            finally:
                self._call.over()

    class AsyncTee(_Tee, async_base):  # type: ignore[misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            add = self._call.add
            try:
                async for chunk in self._inner:
                    add(chunk)
                    yield chunk
            except GeneratorExit:
                raise
            except BaseException as error:
                self._call.failed(error)
                raise
            self._call.over()

        async def aclose(self) -> None:
            try:
                await self._inner.aclose()
            finally:
                self._call.over()

    return SyncTee, AsyncTee
