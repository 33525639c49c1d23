"""What running recorded engagements again costs, over the bare run of the graph; and what a fork and a replay take.

python -m tests.benchmarks.bench_replay [--quick]
"""

from __future__ import annotations

import sys
import time
from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

import ftnb
from ftnb.debug import replay_all
from ftnb.store.sqlite import SQLiteStore
from tests.benchmarks._tools import Line, interleaved, quantile, ratio, show
from tests.capture.models import parrot

N_STEPS = 10


class State(TypedDict):
    """A state that grows with each step."""

    notes: Annotated[list[str], add]
    n: int


def chain(*, asks: bool) -> Any:
    """Ten nodes in a row; with `asks` each asks a model."""
    model = parrot("A short answer.")
    builder: StateGraph[Any] = StateGraph(State)

    def node_of(place: int) -> Any:
        def node(state: State) -> dict[str, Any]:
            said = model.invoke(f"step {place} of {state['n']}").content if asks else f"step {place}"
            return {"notes": [str(said)], "n": state["n"] + 1}

        return node

    for place in range(N_STEPS):
        builder.add_node(f"s{place}", node_of(place))
        builder.add_edge(START if place == 0 else f"s{place - 1}", f"s{place}")
    builder.add_edge(f"s{N_STEPS - 1}", END)
    return builder.compile()


def record(graph: Any, n: int) -> SQLiteStore:
    """Record `n` runs."""
    store = SQLiteStore()
    session = ftnb.start(store)
    for place in range(n):
        graph.invoke({"notes": [], "n": place})
        session.recorder.flush()  # a machine that is busy must not drop what is to be replayed
    ftnb.stop()
    return store


def timed(work: Any) -> float:
    """Processor seconds that `work` took, in all threads."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def of_all(quick: bool, asks: bool) -> Line:
    """`replay_all` over the bare runs."""
    n = 100 if quick else 1_000
    graph = chain(asks=asks)
    store = record(graph, n)

    def bare() -> None:
        for place in range(n):
            graph.invoke({"notes": [], "n": place})

    def replayed() -> None:
        result = replay_all(store, graph, progress=False)
        assert result, result.describe()
        assert result.n_steps == n * N_STEPS

    replayed()  # what is imported with the first one is not what is measured
    times = interleaved({"bare": lambda: timed(bare), "replayed": lambda: timed(replayed)}, 3 if quick else 5)
    found = ratio(times, "replayed", "bare")
    what = "that ask a model" if asks else "without calls"
    per_step = quantile(times["replayed"], 0.5) / n / N_STEPS * 1e6
    measured = f"{found:.2f} x, {per_step:.0f} us a step"
    return Line(
        f"replay_all, {n} engagements of {N_STEPS} steps {what}", "<= 1.5 x the bare run", measured, found <= 1.5
    )


def of_one(quick: bool) -> list[Line]:
    """One fork and one replay at the end of a long run."""
    n = 100 if quick else 1_000
    builder: StateGraph[Any] = StateGraph(State)
    builder.add_node("s", lambda state: {"notes": ["x"], "n": state["n"] + 1})
    builder.add_edge(START, "s")
    builder.add_conditional_edges("s", lambda state: "s" if state["n"] < n else END, ["s", END])
    graph = builder.compile()
    store = SQLiteStore()
    ftnb.start(store)
    graph.invoke({"notes": [], "n": 0}, {"recursion_limit": n + 10})
    engagement = ftnb.last()
    step = engagement.step("s")
    engagement.fork(step, graph=graph), step.replay(graph=graph)
    begun = time.perf_counter()
    engagement.fork(step, graph=graph)
    forked = time.perf_counter()
    step.replay(graph=graph)
    replayed = time.perf_counter()
    ftnb.stop()
    where = f"the last of {n} steps"
    return [
        Line(f"fork at {where}", "< 1 s", f"{(forked - begun) * 1000:.0f} ms", forked - begun < 1),
        Line(f"replay of {where}", "< 1 s", f"{(replayed - forked) * 1000:.0f} ms", replayed - forked < 1),
    ]


def main(quick: bool = False) -> None:
    """Measure and print."""
    show("replay", [of_all(quick, asks=False), of_all(quick, asks=True), *of_one(quick)])


if __name__ == "__main__":
    main("--quick" in sys.argv)
