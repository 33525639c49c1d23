"""Time of a run through the workflow DSL, beside the same LangGraph graph built by hand; both are recorded.

    python tests/benchmarks/bench_workflow.py [rounds]

Per run, in milliseconds: CPU time of the agent's thread and wall-clock time, as medians over the rounds, and the median
of the ratios within each round, with their quartiles: the two cases of a round run one after the other, in turns. In
`steps` five async steps do next to nothing; in `model calls` each of the five asks a LangChain model that answers at
once: by hand with `ainvoke`, in the DSL with `ctx.llm`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from operator import add
from statistics import median, quantiles
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import END, START, StateGraph

from ftnb.langgraph_adapter import TraceState, run_instrumented
from ftnb.orchestration import Workflow
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore

NAMES = [f"step{number}" for number in range(5)]
RUNS = 20
Case = Callable[[Recorder], Awaitable[str]]


class State(TraceState):
    messages: Annotated[list[Any], add]


class Model(BaseChatModel):
    """Answers at once."""

    @property
    def _llm_type(self) -> str:
        return "bench"

    def _generate(self, messages: Any, *_: Any, **__: Any) -> ChatResult:
        said = AIMessage("ok", usage_metadata={"input_tokens": 4, "output_tokens": 1, "total_tokens": 5})
        return ChatResult(generations=[ChatGeneration(message=said)])

    async def _agenerate(self, messages: Any, *_: Any, **__: Any) -> ChatResult:
        return self._generate(messages)


def by_hand(step: Callable[[State], Awaitable[dict[str, Any]]]) -> Case:
    graph = StateGraph(State)
    for name in NAMES:
        graph.add_node(name, step)
    for source, target in zip([START, *NAMES], [*NAMES, END], strict=True):
        graph.add_edge(source, target)
    compiled = graph.compile()
    return lambda recorder: run_instrumented(compiled, {"messages": []}, recorder, name="bench")


def by_workflow(step: Callable[..., Awaitable[dict[str, Any]]], **options: Any) -> Case:
    wf = Workflow("bench", state_schema=State, **options)
    for name in NAMES:
        wf.step(name=name)(step)
    wf.entry(NAMES[0])
    for source, target in pairwise(NAMES):
        wf.edge(source, target)
    wf.finish(NAMES[-1])
    return lambda recorder: wf.run({"messages": []}, recorder)


async def plain(state: State) -> dict[str, Any]:
    return {"messages": ["x"]}


MODEL = Model()


async def asking_by_hand(state: State) -> dict[str, Any]:
    return {"messages": [(await MODEL.ainvoke("hi")).content]}


async def asking(state: State, ctx: Any) -> dict[str, Any]:
    return {"messages": [await ctx.llm("hi")]}


GROUPS: dict[str, tuple[Case, Case]] = {
    "steps": (by_hand(plain), by_workflow(plain)),
    "model calls": (by_hand(asking_by_hand), by_workflow(asking, llm=MODEL)),
}


async def measure(case: Case) -> tuple[float, float]:
    """CPU and wall-clock milliseconds per run, over some runs into a store of their own."""
    store = SQLiteStore()
    recorder = Recorder(store)
    wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
    for _ in range(RUNS):
        await case(recorder)
    cpu, wall = time.thread_time_ns() - cpu, time.perf_counter_ns() - wall
    recorder.close(30)
    store.close()
    return cpu / 1e6 / RUNS, wall / 1e6 / RUNS


async def main(rounds: int) -> None:
    print(f"{'case':<22}{'by hand ms':>12}{'DSL ms':>10}{'ratio':>8}  quartiles    ({rounds} rounds of {RUNS} runs)")
    for name, cases in GROUPS.items():
        seen: list[list[tuple[float, float]]] = [[], []]
        for case in cases:
            await measure(case)  # imports and caches
        for number in range(rounds):
            for place in (0, 1) if number % 2 else (1, 0):
                seen[place].append(await measure(cases[place]))
        for clock, kind in enumerate(("CPU", "wall")):
            hand, dsl = ([one[clock] for one in times] for times in seen)
            low, ratio, high = quantiles([b / a for a, b in zip(hand, dsl, strict=True)], n=4)
            both = f"{median(hand):>12.2f}{median(dsl):>10.2f}"
            print(f"{name + ', ' + kind:<22}{both}{ratio:>8.3f}  [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
