"""`@ftnb.step`: functions of every kind stay what they were, and each run of one is a step."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest

import ftnb
from tests.capture.shapes import Seen, tree


def test_arguments_are_the_input_and_the_result_the_output(seen: Seen) -> None:
    @ftnb.step
    def search(city: str, *more: int, rooms: int = 2, **rest: Any) -> list[str]:
        """Finds flats."""
        return [city]

    with ftnb.record("e"):
        assert search("Bern", 7, 8, rooms=3, sea=True) == ["Bern"]
    (step,) = seen.one().steps
    assert seen.state(step) == {"city": "Bern", "more": [7, 8], "rooms": 3, "sea": True}
    assert seen.update(step) == ["Bern"]
    assert (search.__name__, search.__doc__) == ("search", "Finds flats.")
    assert list(inspect.signature(search).parameters) == ["city", "more", "rooms", "rest"]


class Agent:
    """Methods of every kind."""

    @ftnb.step
    def ask(self, what: str) -> str:
        return what

    @ftnb.step("named", tools=["portal"])
    async def wait(self) -> int:
        await asyncio.sleep(0)
        return 1

    @ftnb.step
    @staticmethod
    def loose(x: int) -> int:
        return x

    @classmethod
    @ftnb.step
    def made(cls, x: int) -> type:
        return cls


def test_methods(seen: Seen) -> None:
    with ftnb.record("e"):
        agent = Agent()
        assert (agent.ask("x"), asyncio.run(agent.wait()), agent.loose(3), Agent.made(4)) == ("x", 1, 3, Agent)
    steps = seen.one().steps
    assert [(step.name, seen.state(step)) for step in steps] == [
        ("ask", {"what": "x"}),
        ("named", {}),
        ("loose", {"x": 3}),
        ("made", {"x": 4}),
    ]
    assert steps[1].tools_available == ["portal"]


def test_kinds_of_functions_stay_what_they_are() -> None:
    @ftnb.step
    async def coroutine() -> None: ...

    @ftnb.step
    def generator() -> Generator[int]:
        yield 1

    @ftnb.step
    async def agenerator() -> AsyncGenerator[int]:
        yield 1

    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(agenerator)
    assert ftnb.step(functools.partial(max, 3))(2) == 3


def test_an_exception_is_the_same_object(seen: Seen) -> None:
    error = RuntimeError("no")

    @ftnb.step
    def fails() -> None:
        raise error

    with pytest.raises(RuntimeError) as caught, ftnb.record("e"):
        fails()
    assert caught.value is error
    assert tree(seen.one()) == ["fails failed"]


def test_functions_that_call_each_other(seen: Seen) -> None:
    @ftnb.step
    async def leaf(n: int) -> int:
        await asyncio.sleep(0.005)
        return n

    @ftnb.step
    async def plan() -> list[int]:
        return await asyncio.gather(leaf(1), leaf(2))

    @ftnb.step
    async def agent() -> None:
        await plan()
        await leaf(3)

    asyncio.run(agent())
    assert tree(seen.one()) == [
        "agent",
        "agent/plan",
        "agent/plan/leaf",
        "agent/plan/leaf@2.1",
        "agent/leaf < plan:static",
    ]


def test_outside_a_block_each_call_is_an_engagement(seen: Seen) -> None:
    @ftnb.step
    def alone(x: int) -> int:
        with ftnb.step("inner"):
            return 1 // x

    alone(1)
    with pytest.raises(ZeroDivisionError):
        alone(0)
    with ftnb.step("block"):
        pass
    assert [(one.name, one.status.value, len(one.steps)) for one in seen.all()] == [
        ("alone", "completed", 2),
        ("alone", "failed", 2),
        ("block", "completed", 1),
    ]
    assert ftnb.last().name == "block"


def test_nothing_happens_where_nothing_is_recorded() -> None:
    @ftnb.step
    def quiet(x: int) -> int:
        ftnb.current_step().log("x")
        return x

    @ftnb.step
    def items() -> Generator[int]:
        yield from (1, 2)

    assert quiet(3) == 3
    assert list(items()) == [1, 2]
    with ftnb.step("block") as s:
        s.llm_call("m")


# --- generators ---


def talk() -> Generator[Any, Any, str]:
    said = []
    while True:
        try:
            got = yield len(said)
        except KeyError as error:
            got = f"caught {error.args[0]}"
        if got is None:
            return " ".join(said)
        said.append(got)


def drive(make: Callable[[], Generator[Any, Any, str]]) -> list[Any]:
    made = make()
    seen = [next(made), made.send("a"), made.throw(KeyError("k")), made.send("b")]
    try:
        made.send(None)
    except StopIteration as stop:
        seen.append(stop.value)
    return seen


def test_a_generator_is_sent_to_thrown_into_and_returns(seen: Seen) -> None:
    with ftnb.record("e"):
        assert drive(ftnb.step(talk)) == drive(talk) == [0, 1, 2, 3, "a caught k b"]
    (step,) = seen.one().steps
    assert (step.name, step.status.value) == ("talk", "completed")
    assert seen.update(step) == {"items": [0, 1, 2, 3], "returned": "a caught k b"}


def test_a_generator_that_is_closed_cleans_up_and_is_cancelled(seen: Seen) -> None:
    cleaned = []

    @ftnb.step
    def items() -> Generator[int]:
        try:
            yield 1
            yield 2
        finally:
            cleaned.append(True)

    with ftnb.record("e"):
        for _ in items():
            break
        made = items()
        next(made)
        made.close()
    assert cleaned == [True, True]
    assert tree(seen.one()) == ["items cancelled", "items@2.1 cancelled < items:static"]
    assert seen.update(seen.one().steps[1]) == [1]


def test_what_a_generator_raises(seen: Seen) -> None:
    error = ValueError("x")

    @ftnb.step
    def items() -> Generator[int]:
        yield 1
        raise error

    with ftnb.record("e"), pytest.raises(ValueError, match="x") as caught:
        list(items())
    assert caught.value is error
    assert tree(seen.one()) == ["items failed"]


def test_the_consumer_s_steps_are_not_inside_the_generator(seen: Seen) -> None:
    @ftnb.step
    def items() -> Generator[int]:
        for n in range(2):
            with ftnb.step("make"):
                pass
            yield n

    with ftnb.record("e") as run:
        with run.step("before"):
            pass
        for _ in items():
            with run.step("use"):
                pass
        with run.step("after"):
            pass
    assert tree(seen.one()) == [
        "before",
        "items < before:static",
        "items/make",
        "use < before:static",
        "items/make@2.1 < make:static",
        "use@2.1 < use:static",
        "after < use:join, items:join",
    ]


def test_an_async_generator(seen: Seen) -> None:
    @ftnb.step
    async def stream() -> AsyncGenerator[str, str]:
        try:
            got = yield "a"
            with ftnb.step("inner"):
                await asyncio.sleep(0)
            yield got
        finally:
            ftnb.current_step().log("closing")

    async def main() -> list[Any]:
        made = stream()
        heard = [await made.__anext__(), await made.asend("b")]
        await made.aclose()
        return heard + [item async for item in stream()]

    with ftnb.record("e"):
        assert asyncio.run(main()) == ["a", "b", "a", None]
    engagement = seen.one()
    assert [(step.name, step.status.value) for step in engagement.steps] == [
        ("stream", "cancelled"),
        ("inner", "completed"),
        ("stream", "completed"),
        ("inner", "completed"),
    ]
    assert [event.name for event in engagement.steps[0].events] == ["closing"]
    assert seen.update(engagement.steps[2]) == ["a", None]


def test_a_long_stream_is_cut_and_says_so(seen: Seen) -> None:
    @ftnb.step
    def many() -> Generator[int]:
        yield from range(1_200)

    with ftnb.record("e"):
        assert sum(many()) == sum(range(1_200))
    (step,) = seen.one().steps
    assert len(seen.update(step)) == 1_000
    assert [event.payload for event in step.events] == [{"n_kept": 1_000, "n_left_out": 200}]
