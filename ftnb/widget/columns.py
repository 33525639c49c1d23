"""Long runs as columns of bytes: ten thousand steps are half a megabyte instead of many. Pure.

The layout is declared in `protocol.run` and read by `js/src/columns.ts`.
"""

from __future__ import annotations

import base64
import json
import sys
import zlib
from array import array
from collections.abc import Iterable
from typing import Any, cast

import orjson

from ..core.model import Engagement
from .protocol import Column, ColumnType, EngagementPayload, MarkColumns, StepColumns
from .times import Times

MANY_STEPS = 1_000
MANY_MARKS = 5_000
"""From here on columns are sent; below, rows are small enough, and easier to look at."""

_CODES: dict[ColumnType, str] = {"f8": "d", "f4": "f", "i4": "i", "u4": "I", "u2": "H", "u1": "B"}
_NAN = float("nan")


def column(dtype: ColumnType, values: Iterable[float]) -> Column:
    """`values` as little-endian bytes; a value that does not fit its type is an OverflowError."""
    numbers = array(_CODES[dtype], values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return Column(dtype=dtype, data=numbers.tobytes())


class _Words:
    """Texts by number, in the order in which they first came."""

    def __init__(self) -> None:
        self.number: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.number.setdefault(text, len(self.number))

    @property
    def texts(self) -> list[str]:
        return list(self.number)


def mark_columns(engagement: Engagement, times: Times) -> MarkColumns:
    """The events of all steps, in the order of the lanes."""
    kinds, names = _Words(), _Words()
    start, offset, duration, ttft = [0], array("d"), array("f"), array("f")
    kind, name, flags = array("B"), array("I"), array("B")
    for index in times.order:
        for event in engagement.steps[index].events:
            offset.append(times.at(event.ts))
            duration.append(event.duration_ms or 0.0)
            ttft.append(_NAN if event.ttft_ms is None else event.ttft_ms)
            kind.append(kinds(event.kind.value))
            name.append(names(event.name))
            flags.append((event.error is not None) + 2 * event.discarded)
        start.append(len(offset))
    return MarkColumns(
        kinds=kinds.texts,
        names=names.texts,
        start=column("u4", start),
        offset=column("f8", offset),
        duration=column("f4", duration),
        ttft=column("f4", ttft),
        kind=column("u1", kind),
        name=column("u4", name),
        flags=column("u1", flags),
    )


def pack(payload: EngagementPayload, *, many: int = MANY_STEPS) -> EngagementPayload:
    """What is sent: the same payload, with `many` steps or more as columns. `payload` itself stays as it is."""
    steps, lanes = payload["steps"], payload["timeline"]["lanes"]
    if len(steps) < many or len(lanes) != len(steps) or any(lane["marks"] for lane in lanes):
        return payload
    packed = dict(payload)
    packed["columns"] = _step_columns(payload)
    packed["steps"], packed["causes"] = [], []
    packed["timeline"] = {**payload["timeline"], "lanes": []}
    return cast(EngagementPayload, packed)


_HEAD = ("v", "engagement", "seq", "marks", "columns")
"""What a message holds as it is: what is asked before the rest is read, and what is bytes already."""


def on_wire(payload: EngagementPayload) -> dict[str, Any]:
    """What a widget message holds: `pack`ed, and all that is JSON deflated (`rest`; `n_rest` bytes when inflated).

    Steps resemble each other: it weighs a seventh of the message's own JSON.
    """
    packed = cast(dict[str, Any], pack(payload))
    rest = {name: value for name, value in packed.items() if name not in _HEAD}
    try:
        text = orjson.dumps(rest)
    except TypeError:  # half a character, as a broken text of an agent may hold
        text = json.dumps(rest, separators=(",", ":")).encode()
    deflated = zlib.compress(text, 3, wbits=-zlib.MAX_WBITS)
    return {**{name: packed[name] for name in _HEAD}, "rest": deflated, "n_rest": len(text)}


def _step_columns(payload: EngagementPayload) -> StepColumns:
    steps, lanes, causes = payload["steps"], payload["timeline"]["lanes"], payload["causes"]
    names, namespaces, statuses, kinds = _Words(), _Words(), _Words(), _Words()
    is_open = [False] * len(steps)
    for lane in lanes:
        is_open[lane["step"]] = lane["open"]
    return StepColumns(
        ids=[step["id"] for step in steps],
        name=column("u4", [names(step["name"]) for step in steps]),
        ns=column("u4", [namespaces(step["ns"]) for step in steps]),
        status=column("u1", [statuses(step["status"]) for step in steps]),
        node=column("u4", [step["node"] for step in steps]),
        visit=column("u4", [step["visit"] for step in steps]),
        n_visits=column("u4", [step["n_visits"] for step in steps]),
        attempt=column("u4", [step["attempt"] for step in steps]),
        turn=column("u4", [step["turn"] for step in steps]),
        parent=column("i4", [-1 if step["parent"] is None else step["parent"] for step in steps]),
        offset=column("f8", [step["offset_ms"] for step in steps]),
        duration=column("f8", [step["duration_ms"] for step in steps]),
        tokens=column("f8", [step["total_tokens"] for step in steps]),
        cost=column("f8", [_NAN if step["cost"] is None else step["cost"] for step in steps]),
        n_events=column("u4", [step["n_events"] for step in steps]),
        flags=column("u1", [s["is_global"] + 2 * s["failing"] + 4 * o for s, o in zip(steps, is_open, strict=True)]),
        errors=[[index, step["error"]] for index, step in enumerate(steps) if step["error"] is not None],
        lanes=column("u4", [lane["step"] for lane in lanes]),
        lane_offset=column("f8", [lane["offset_ms"] for lane in lanes]),
        lane_duration=column("f8", [lane["duration_ms"] for lane in lanes]),
        cause_source=column("u4", [cause["source"] for cause in causes]),
        cause_target=column("u4", [cause["target"] for cause in causes]),
        cause_kind=column("u1", [kinds(cause["kind"]) for cause in causes]),
        names=names.texts,
        namespaces=namespaces.texts,
        statuses=statuses.texts,
        kinds=kinds.texts,
    )


def plain(value: Any) -> Any:
    """`value` with bytes as base64: what JSON can hold."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


def json_default(value: object) -> str:
    """For `json.dumps(payload, default=json_default)`."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    raise TypeError(f"no JSON for {type(value).__name__}")
