"""Every way to run a graph, with one signature."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import langgraph.pregel

Way = Callable[..., Any]


def invoke(app: Any, state: Any, config: Any = None, **options: Any) -> Any:
    return app.invoke(state, config, **options)


def ainvoke(app: Any, state: Any, config: Any = None, **options: Any) -> Any:
    return asyncio.run(app.ainvoke(state, config, **options))


def stream(app: Any, state: Any, config: Any = None, **options: Any) -> Any:
    return list(app.stream(state, config, stream_mode="values", **options))[-1]


def astream(app: Any, state: Any, config: Any = None, **options: Any) -> Any:
    async def collect() -> list[Any]:
        return [chunk async for chunk in app.astream(state, config, stream_mode="values", **options)]

    return asyncio.run(collect())[-1]


def batch(app: Any, state: Any, config: Any = None, **options: Any) -> Any:
    return app.batch([state], config, **options)[0]


def abatch(app: Any, state: Any, config: Any = None, **options: Any) -> Any:
    return asyncio.run(app.abatch([state], config, **options))[0]


def astream_events_v2(app: Any, state: Any, config: Any = None, **options: Any) -> Any:
    async def collect() -> Any:
        *_, last = [event async for event in app.astream_events(state, config, version="v2", **options)]
        return last["data"].get("output")

    return asyncio.run(collect())


def astream_events_v3(app: Any, state: Any, config: Any = None, **options: Any) -> Any:
    async def collect() -> Any:
        async with await app.astream_events(state, config, version="v3", **options) as events:
            return await events.output()

    return asyncio.run(collect())


EVERY_WAY: list[Way] = [invoke, ainvoke, stream, astream, batch, abatch, astream_events_v2]
if hasattr(langgraph.pregel.Pregel, "_apregel_stream_v3"):  # LangGraph 1.2 and later
    EVERY_WAY.append(astream_events_v3)

FUNCTIONAL = [way for way in EVERY_WAY if way is not astream_events_v2 or astream_events_v3 in EVERY_WAY]
"""Those for the functional API: in LangGraph 1.0 the result of a task is None in `astream_events`, without ftnb too."""
