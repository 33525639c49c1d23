"""Recorded answers of a provider as what its SDK makes of them, for the SDKs of one base client (OpenAI, Anthropic).

The request is built as the SDK builds it, so that what is asked is what was recorded; in the place of sending it, an
HTTP response is made of the record, and the SDK goes on from there. So types, helpers, raw responses and parsed output
are its own. Nothing is sent, and nothing is tried again.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

from ..core._raised import raised
from ..core.errors import ReplayError
from ..langgraph_adapter.calls import Given
from ._call import Call
from ._unfold import sse

_OK, _ERROR = 200, 400
T = TypeVar("T")


class Prepared(NamedTuple):
    """A request that is not sent."""

    options: Any
    request: Any
    more: dict[str, Any]
    """What else the SDK asks of a response: its type, whether it is streamed."""


def copy_of(client: Any, options: Any) -> Any:
    """The SDK's options of a request, for a change that the caller does not see."""
    copied = getattr(client, "_copy_and_prepare", None)
    return options.model_copy() if copied is None else copied(options)


def prepared(client: Any, call: Call, options: Any, request: Any, args: Any, kwargs: Any) -> Prepared:
    """`request`, which the client has built of its prepared `options`, and what else it asks of a response."""
    given = {**dict(zip(("cast_to", "options"), args, strict=False)), **kwargs}
    call.request = request.content
    more = {"cast_to": client._maybe_override_cast_to(given["cast_to"], options)}
    more.update(stream=given.get("stream", False), stream_cls=given.get("stream_cls"))
    return Prepared(options, request, more)


def response_of(client: Any, call: Call, made: Prepared, given: Given, *, is_async: bool) -> Any:
    """The HTTP response. Raises what the SDK raised then."""
    is_cut = given.cut is not None or (given.error is not None and given.sent is None)
    if (
        is_cut
        and given.error is not None
        and (given.status is not None or not made.more["stream"] or given.reply is None)
    ):
        raise _error(client, made, given)
    package = sys.modules[type(made.request).__module__.partition(".")[0]]
    reply: Any = given.reply or {}
    if not made.more["stream"]:
        if is_cut:
            raise ReplayError(f"{given.cut}; the code that is replayed wants all of it")
        return package.Response(_OK, json=reply, request=made.request)
    _, parameters, _ = call.asked()
    data = sse(call.api.unfold(reply, parameters))
    if given.sent is not None:
        data += sse([("error", {"type": "error", "error": given.sent})])
    end = _raised(given) if is_cut else None
    content = asent([data], end) if is_async else sent([data], end)
    headers = {"content-type": "text/event-stream"}
    return package.Response(_OK, headers=headers, content=content, request=made.request)


def _raised(given: Given) -> Exception:
    return raised(*given.error) if given.error is not None else ReplayError(f"{given.cut}")


def sent(parts: Iterable[T], end: Exception | None) -> Iterator[T]:
    """The parts of a stream, and what it ended with."""
    yield from parts
    if end is not None:
        raise end


async def asent(parts: Iterable[T], end: Exception | None) -> AsyncIterator[T]:
    """`sent` for those who wait."""
    for part in parts:
        yield part
    if end is not None:
        raise end


def _error(client: Any, made: Prepared, given: Given) -> Exception:
    assert given.error is not None
    name, message = given.error
    package = sys.modules[type(made.request).__module__.partition(".")[0]]
    if given.status is not None and given.status >= _ERROR:
        response = package.Response(given.status, json=given.reply or {}, request=made.request)
        found: Exception = client._make_status_error_from_response(response)
        return found
    kinds = sys.modules[type(client).__module__.partition(".")[0]]
    kind = getattr(kinds, name, None)
    if kind is not None and name == "APITimeoutError":
        return kind(request=made.request)  # type: ignore[no-any-return]
    if kind is not None and name == "APIConnectionError":
        return kind(message=message, request=made.request)  # type: ignore[no-any-return]
    return raised(name, message)
