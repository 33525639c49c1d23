"""What a step of plain code costs the code that runs it, beside a peer in the same rounds.

    python tests/benchmarks/bench_plain.py [quick]

A loop calls one small function bare, and then as a step in each of the ways there are; the peer is OpenInference's
tracer (`@tracer.chain`) with a span processor that throws every span away. Per step, in microseconds over the bare
call: processor time of the caller's own thread, which is what the step adds to it, and time on the clock, in which the
writer's thread competes for the interpreter. Medians over the rounds. A step with a span of OpenTelemetry in it, as
an instrumented SDK makes one, shows what the processor adds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import ftnb
import ftnb.otel
from tests.benchmarks._tools import Line, Times, added, interleaved, show, spent

REACH_US = 15.0
Loop = Callable[[int], None]


def work(city: str, rooms: int) -> int:
    """What the step does."""
    return len(city) + rooms


def bare(n: int) -> None:
    """The loop without any recording."""
    for _ in range(n):
        work("Bern", 3)


def steps(run: Any) -> dict[str, Loop]:
    """The ways to have a step."""
    decorated = ftnb.step(work)

    def block(n: int) -> None:
        for _ in range(n):
            with run.step("work"):
                work("Bern", 3)

    def told(n: int) -> None:
        for _ in range(n):
            with run.step("work", input={"city": "Bern", "rooms": 3}) as s:
                s.output = work("Bern", 3)

    def function(n: int) -> None:
        for _ in range(n):
            decorated("Bern", 3)

    def generator(n: int) -> None:
        for _ in made(n):
            pass

    @ftnb.step
    def one() -> Any:
        yield work("Bern", 3)

    def made(n: int) -> Any:
        for _ in range(n):
            yield from one()

    return {"with run.step": block, "… input and output": told, "@ftnb.step": function, "… on a generator": generator}


def peer() -> Loop | None:
    """OpenInference's decorator; None where it is not installed."""
    try:
        from openinference.instrumentation import TracerProvider
    except ImportError:
        return None
    from opentelemetry.sdk.trace import SpanProcessor

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanProcessor())
    decorated = provider.get_tracer("bench").chain(work)

    def loop(n: int) -> None:
        for _ in range(n):
            decorated("Bern", 3)

    return loop


def spans() -> tuple[Loop, Loop]:
    """A loop of GenAI spans that nobody takes, and one of spans that are recorded."""
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    loops = []
    for processor in (SpanProcessor(), ftnb.otel.SpanProcessor()):
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(processor)
        tracer = provider.get_tracer("bench")

        def loop(n: int, tracer: Any = tracer) -> None:
            for _ in range(n):
                with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
                    work("Bern", 3)

        loops.append(loop)
    return loops[0], loops[1]


def measured(loops: dict[str, Loop], n: int, rounds: int) -> tuple[Times, Times]:
    """Microseconds per step, by the caller's processor time and by the clock."""
    clock: Times = {name: [] for name in loops}

    def once(name: str) -> float:
        ftnb.session.current().recorder.flush(10)  # type: ignore[union-attr]
        wall, cpu = spent(lambda: loops[name](n))
        clock[name].append(wall / n * 1e6)
        return cpu / n * 1e6

    cpu = interleaved({name: lambda name=name: once(name) for name in loops}, rounds)  # type: ignore[misc]
    return cpu, clock


def main(quick: bool = False) -> None:
    """Measure and print."""
    n, rounds = (500, 5) if quick else (2_000, 15)
    with TemporaryDirectory() as folder:
        session = ftnb.start(Path(folder) / "traces.db")
        with ftnb.record("bench") as run, run.step("around"):
            loops = {"bare": bare, **steps(run)}
            theirs = peer()
            if theirs is not None:
                loops["OpenInference @tracer.chain"] = theirs
            loops["span"], loops["span, recorded"] = spans()
            for loop in loops.values():
                loop(50)
            time.sleep(0.2)
            cpu, clock = measured(loops, n, rounds)
        dropped = session.stats().dropped
        ftnb.stop()
    lines = [_line(name, cpu, clock, "bare") for name in loops if name not in ("bare", "span, recorded")]
    lines.append(_line("span, recorded", cpu, clock, "span"))
    show("A plain step, added to the bare call (own thread, on the clock)", lines)
    print(f"  dropped: {dropped or 'nothing'}")


def _line(name: str, cpu: Times, clock: Times, base: str) -> Line:
    own, wall = added(cpu, name, base), added(clock, name, base)
    is_ours = not name.startswith(("OpenInference", "span"))
    what = name if base == "bare" else f"{name} (over the span itself)"
    reach = f"<= {REACH_US:g} us" if is_ours else "–"
    return Line(what, reach, f"+{own:.1f} us, +{wall:.1f} us", own <= REACH_US if is_ours else None)


if __name__ == "__main__":
    main("quick" in sys.argv[1:])
