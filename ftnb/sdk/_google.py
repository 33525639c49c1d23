"""Google's Gen AI SDK: generate_content and embed_content, also of chats and of Vertex AI.

Taken are the methods of its HTTP client, so each request is a call: what automatic function calling asks on its own is
recorded as what it is, several calls.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from ..core._call_scope import CALL
from ..core._raised import raised
from ..core.errors import ReplayError
from ..langgraph_adapter.calls import Given
from . import _wire
from ._call import Call
from ._gemini import EMBED, GENERATE
from ._patch import AttributePatch, Patch, Switch
from ._stainless import count

_APIS = {
    "generateContent": GENERATE,
    "streamGenerateContent": GENERATE,
    "embedContent": EMBED,
    "batchEmbedContents": EMBED,
}
Begin = Callable[[Any, Any, Any], Call | None]


def patches(module: ModuleType, switch: Switch) -> list[Patch]:
    """The places to take."""
    from google.genai._api_client import BaseApiClient

    def begin(client: Any, args: Any, kwargs: Any) -> Call | None:
        return _begin(client, args, kwargs) if switch.is_on else None

    found: list[Patch] = [
        AttributePatch(BaseApiClient, "request", _request(begin)),
        AttributePatch(BaseApiClient, "async_request", _async_request(begin)),
        AttributePatch(BaseApiClient, "request_streamed", _streamed(begin)),
        AttributePatch(BaseApiClient, "async_request_streamed", _async_streamed(begin)),
    ]
    for name, make in (("_request_once", _once), ("_async_request_once", _async_once)):
        if name in vars(BaseApiClient):
            found.append(AttributePatch(BaseApiClient, name, make))
    return found


def _begin(client: Any, args: Any, kwargs: Any) -> Call | None:
    """The call that a request is; None: none that is recorded. Never raises."""
    try:
        given = {**dict(zip(("http_method", "path", "request_dict"), args, strict=False)), **kwargs}
        model, _, operation = str(given["path"]).partition("?")[0].rpartition(":")
        api = _APIS.get(operation)
        if api is None:
            return None
        provider = "vertex" if client.vertexai else "google"
        request = given["request_dict"]
        call = Call(api, provider, model.rpartition("/")[2], request if isinstance(request, Mapping) else {}, client)
        return call if call.begin() else None
    except Exception as error:
        count(error)
        return None


def _request(begin: Begin) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        def request(self: Any, *args: Any, **kwargs: Any) -> Any:
            call = begin(self, args, kwargs)
            if call is None:
                return original(self, *args, **kwargs)
            token = CALL.set(call)
            try:
                result, args, kwargs = _answered(call, args, kwargs)
                if result is None:
                    result = original(self, *args, **kwargs)
            except BaseException as error:
                call.failed(error)
                raise
            finally:
                CALL.reset(token)
            call.body = getattr(result, "body", None)
            call.over()
            return result

        return request

    return make


def _async_request(begin: Begin) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        async def async_request(self: Any, *args: Any, **kwargs: Any) -> Any:
            call = begin(self, args, kwargs)
            if call is None:
                return await original(self, *args, **kwargs)
            token = CALL.set(call)
            try:
                result, args, kwargs = _answered(call, args, kwargs)
                if result is None:
                    result = await original(self, *args, **kwargs)
            except BaseException as error:
                call.failed(error)
                raise
            finally:
                CALL.reset(token)
            call.body = getattr(result, "body", None)
            call.over()
            return result

        return async_request

    return make


def _streamed(begin: Begin) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        def request_streamed(self: Any, *args: Any, **kwargs: Any) -> Any:
            # The request is sent with the first part that is asked for; it begins then.
            call = begin(self, args, kwargs)
            if call is None:
                yield from original(self, *args, **kwargs)
                return
            given, args, kwargs = _asked(call, args, kwargs)
            parts = original(self, *args, **kwargs) if given is None else _given_parts(call, given)
            yield from _read(call, parts)

        return request_streamed

    return make


def _read(call: Call, parts: Any) -> Iterator[Any]:
    _as_stream(call)
    try:
        while True:
            token = CALL.set(call)
            try:
                part = next(parts)
            except StopIteration:
                break
            finally:
                CALL.reset(token)
            call.add(getattr(part, "body", None))
            yield part
    except GeneratorExit:
        raise
    except BaseException as error:
        call.failed(error)
        raise
    finally:
        parts.close()
        call.over()


def _async_streamed(begin: Begin) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        async def async_request_streamed(self: Any, *args: Any, **kwargs: Any) -> Any:
            call = begin(self, args, kwargs)
            if call is None:
                return await original(self, *args, **kwargs)
            _as_stream(call)
            token = CALL.set(call)
            try:
                given, args, kwargs = _asked(call, args, kwargs)
                if given is None:
                    parts = await original(self, *args, **kwargs)
                else:
                    parts = _agiven_parts(call, given)
            except BaseException as error:
                call.failed(error)
                raise
            finally:
                CALL.reset(token)
            stream = _aread(call, parts)
            weakref.finalize(stream, call.over)  # one that nobody begins to read has no end of its own
            return stream

        return async_request_streamed

    return make


async def _aread(call: Call, parts: Any) -> AsyncIterator[Any]:
    try:
        async for part in parts:
            call.add(getattr(part, "body", None))
            yield part
    except GeneratorExit:
        raise
    except BaseException as error:
        call.failed(error)
        raise
    finally:
        call.over()
        await parts.aclose()


def _as_stream(call: Call) -> None:
    call.is_stream, call.reader = True, _objects


def _objects(chunks: _wire.Chunks) -> Iterator[tuple[int, dict[str, Any]]]:
    for at, body in chunks:
        value = _wire.parse(body)
        if isinstance(value, dict):
            yield at, value


# --- while a replay runs ---


def _asked(call: Call, args: Any, kwargs: Any) -> tuple[Given | None, Any, Any]:
    """What the record says to a request, and the request, for the model that the replay wants. Raises ReplayError."""
    if call.answers is None:
        return None, args, kwargs
    try:
        name = call.instead()
        given = call.ask()
    except Exception as error:
        call.failed(error)
        raise
    if name is not None:
        said = {**dict(zip(("http_method", "path", "request_dict", "http_options"), args, strict=False)), **kwargs}
        head, _, operation = str(said["path"]).rpartition(":")
        args, kwargs = (), {**said, "path": f"{head.rpartition('/')[0]}/{name}:{operation}"}
    return given, args, kwargs


def _answered(call: Call, args: Any, kwargs: Any) -> tuple[Any, Any, Any]:
    """A recorded answer as the SDK's HTTP client gives it; None: it is to be had. Raises what the SDK raised then."""
    given, args, kwargs = _asked(call, args, kwargs)
    if given is None:
        return None, args, kwargs
    if given.error is not None:
        raise _error(given)
    if given.cut is not None:
        raise ReplayError(f"{given.cut}; the code that is replayed wants all of it")
    return _part(given), args, kwargs


def _part(given: Given) -> Any:
    from google.genai.types import HttpResponse

    return HttpResponse(headers={"content-type": "application/json"}, body=json.dumps(given.reply or {}))


def _given_parts(call: Call, given: Given) -> Iterator[Any]:
    """The answer as one part, and then the error, if there was one."""
    if given.reply is not None and given.status is None:
        yield _part(given)
    if given.error is not None:
        raise _error(given)
    if given.cut is not None:
        raise ReplayError(given.cut)


async def _agiven_parts(call: Call, given: Given) -> AsyncIterator[Any]:
    for part in _given_parts(call, given):
        yield part


def _error(given: Given) -> Exception:
    from google.genai import errors

    assert given.error is not None
    kind = getattr(errors, given.error[0], None)
    if given.status is not None and given.reply is not None and kind is not None:
        return kind(given.status, dict(given.reply))  # type: ignore[no-any-return]
    return raised(*given.error)


# --- attempts ---


def _once(original: Any) -> Any:
    def request_once(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = _tried(self)
        try:
            return original(self, *args, **kwargs)
        except Exception as error:
            _failed_once(call, error)
            raise

    return request_once


def _async_once(original: Any) -> Any:
    async def async_request_once(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = _tried(self)
        try:
            return await original(self, *args, **kwargs)
        except Exception as error:
            _failed_once(call, error)
            raise

    return async_request_once


def _tried(client: Any) -> Call | None:
    """The call that is tried, which counts it; None: none that is recorded."""
    call = CALL.get()
    if type(call) is not Call or call.owner is not client or call.is_done:
        return None
    call.n_tries += 1
    return call


def _failed_once(call: Call | None, error: Exception) -> None:
    if call is not None:
        code = getattr(error, "code", None)
        call.causes.append(code if isinstance(code, int) else type(error).__name__)
