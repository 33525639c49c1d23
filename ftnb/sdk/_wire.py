"""What a provider's API carries, as far as all of them are alike. Runs on the writer's thread."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from ..store.draft import Tokens

Chunks = Sequence[tuple[int, Any]]
"""Parts of a streamed body, each with the `perf_counter_ns` of its arrival."""
Events = Iterable[tuple[int, dict[str, Any]]]
"""Events of a stream as JSON objects, each with the time of its arrival."""


@dataclass(slots=True)
class Reply:
    """What a model answered, made readable."""

    response: dict[str, Any] | None = None
    tokens: Tokens | None = None
    model: str | None = None
    first_token: int | None = None
    error: tuple[str, str] | None = None
    """Message and kind of an error that the provider sent as an answer."""
    more: dict[str, Any] = field(default_factory=dict)
    is_complete: bool = True
    """False: the stream ended before the answer did."""
    body: Mapping[str, Any] | None = None
    """The answer as the provider gives it when nothing is streamed, where it was put together from a stream."""


Each = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]
"""What has a function look at each item of a list; `Again` remembers what it said."""


def each(make: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Nothing is remembered."""
    return [make(item) for item in items]


def same(item: Any) -> Any:
    """For `Each`: an item as it is."""
    return item


class Api(NamedTuple):
    """One operation of a provider."""

    name: str
    """As `openai.chat.completions`; the name of the step of a call outside any."""
    ask: Callable[[Mapping[str, Any], Each], tuple[list[Any], dict[str, Any]]]
    """A request as messages and parameters."""
    read: Callable[[Mapping[str, Any]], Reply]
    """A whole answer."""
    fold: Callable[[Events], Reply]
    """The events of a streamed one, as far as there are any."""
    unfold: Callable[[Mapping[str, Any], Mapping[str, Any]], Iterator[tuple[str | None, Any]]]
    """A whole answer and the request's parameters as named events, of which its user makes the same answer."""
    subtype: str | None = None


def rest(each: Each, request: Mapping[str, Any], *said: str) -> dict[str, Any]:
    """The parameters of a request: all but `said` and what is None. Those of several parts are looked at one by one."""
    found: dict[str, Any] = {}
    for key, value in request.items():
        if value is None or key in said:
            continue
        kind = type(value)
        if kind is list:
            value = each(same, value)
        elif kind is dict:
            value = each(same, (value,))[0]
        found[key] = value
    return found


def parse(text: Any) -> Any:
    """JSON as its value; None where it is none."""
    try:
        return orjson.loads(text)
    except (ValueError, TypeError):
        pass
    try:
        return json.loads(text)  # what orjson refuses: NaN, large integers
    except (ValueError, TypeError, RecursionError):
        return None


def arguments(text: Any) -> Any:
    """The arguments of a tool call, parsed where they are JSON."""
    value = parse(text) if isinstance(text, str) else text
    return text if value is None and text else value


def error_of(body: Any) -> tuple[str, str] | None:
    """The error in a provider's JSON: its message and kind."""
    error = body.get("error") if type(body) is dict or isinstance(body, Mapping) else None
    if not error:
        return None
    if not isinstance(error, Mapping):
        return str(error), "error"
    kind = error.get("type") or error.get("status") or error.get("code") or "error"
    return str(error.get("message") or error), str(kind)


def sent_back(error: BaseException) -> Any:
    """The JSON that came with an error, as an SDK's exception knows it; None: none came."""
    found = getattr(error, "details", None)
    if isinstance(found, Mapping):
        return found
    try:
        body = parse(getattr(error, "response").content)  # noqa: B009  (any exception may come here)
    except Exception:  # not read, or none
        body = None
    return body if isinstance(body, Mapping) else None


def objects(chunks: Chunks, encoding: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a stream of server-sent events. What is no JSON object is left out."""
    for at, name, data in _events(_decoded(chunks, encoding)):
        if data == b"[DONE]":
            continue
        value = parse(data)
        if isinstance(value, dict):
            if name == "error" and "error" not in value:
                value = {"error": value}
            yield at, value


def joined(chunks: Chunks, encoding: str | None) -> bytes:
    """A body that came in parts, as far as it came."""
    return b"".join(part for _, part in _decoded(chunks, encoding))


def _events(chunks: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, str, bytes]]:
    rest_of, name, data, at = b"", "", list[bytes](), 0
    for at, chunk in chunks:
        lines = (rest_of + chunk).split(b"\n")
        rest_of = lines.pop()
        for line in lines:
            if line.endswith(b"\r"):
                line = line.rstrip(b"\r")
            if not line:
                if data:
                    yield at, name, data[0] if len(data) == 1 else b"\n".join(data)
                    data = []
                name = ""
            elif line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif line.startswith(b"event:"):
                name = line[6:].strip().decode("utf-8", "replace")
    if rest_of.startswith(b"data:"):
        data.append(rest_of[5:].strip())
    if data:
        yield at, name, b"\n".join(data)


def _decoded(chunks: Chunks, encoding: str | None) -> Iterator[tuple[int, bytes]]:
    if not encoding or encoding == "identity":
        yield from chunks
        return
    if encoding not in ("gzip", "deflate"):
        return  # br and zstd would need packages that only the SDK's HTTP client may have
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
    for at, chunk in chunks:
        try:
            yield at, decoder.decompress(chunk)
        except zlib.error:
            return
