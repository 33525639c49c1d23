"""The code of a graph is on record: once per version, never per step."""

from __future__ import annotations

import functools
import hashlib
import inspect
from typing import Any

import orjson
import pytest
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph

from ftnb.langgraph_adapter import _code
from ftnb.langgraph_adapter._code import live_graphs, read_code
from ftnb.orchestration import Workflow
from ftnb.store.blobs import Resolver
from tests.capture.shapes import Path, Seen, graph_of


def plan(state: Path) -> dict[str, list[str]]:
    return {"path": ["plan"]}


class Search:
    def __call__(self, state: Path) -> dict[str, list[str]]:
        return {"path": ["search"]}


async def late(state: Path) -> dict[str, list[str]]:
    return {"path": ["late"]}


def tagged(state: Path, tag: str) -> dict[str, list[str]]:
    return {"path": [tag]}


def way(state: Path) -> str:
    return "on"


def bodies(seen: Seen, *types: str) -> list[dict[str, Any]]:
    return [orjson.loads(body) for body in seen.store.scan(["body"], types=types)["body"].to_pylist()]


def by_node(code: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["node"]: entry for entry in code["nodes"]}


def built() -> Any:
    inner = graph_of("^>in", "in>$").compile()
    builder = graph_of(
        "^>plan", plan=plan, search=Search(), late=late, tagged=functools.partial(tagged, tag="t"), inner=inner
    )
    builder.add_conditional_edges("plan", way, {"on": "search", "off": END})
    return builder.compile()


def test_every_kind_of_node_is_described_by_the_users_function() -> None:
    nodes = by_node(read_code(built()))
    assert list(nodes) == ["plan", "search", "late", "tagged", "inner", "inner/in"]
    assert nodes["plan"]["source"] == inspect.getsource(plan)
    assert nodes["plan"]["sha256"] == hashlib.sha256(inspect.getsource(plan).encode()).hexdigest()
    assert nodes["plan"]["line"] == inspect.getsourcelines(plan)[1]
    assert nodes["plan"]["file"].endswith("test_code.py")
    assert nodes["search"]["qualname"] == "Search"
    assert '{"path": ["search"]}' in nodes["search"]["source"]
    assert nodes["late"]["qualname"] == "late"
    assert nodes["tagged"]["source"] == inspect.getsource(tagged)
    assert nodes["inner"]["source"] is None


def test_routers_and_how_the_state_merges_are_there() -> None:
    code = read_code(built())
    (router,) = code["routers"]
    assert (router["node"], router["router"], router["source"]) == ("plan", "way", inspect.getsource(way))
    outer, inner = code["graphs"]
    assert outer["channels"] == [["path", "BinaryOperatorAggregate", "operator.add"]]
    assert dict(outer["reads"])["plan"] == ["path"]
    assert inner["graph"] == "inner"


def test_tasks_that_an_entrypoint_names_are_there() -> None:
    @task
    def double(x: int) -> int:
        return 2 * x

    @entrypoint()
    def main(x: int) -> int:
        return double(x).result()

    nodes = by_node(read_code(main))
    assert list(nodes) == ["main", "main/double"]
    assert "return 2 * x" in nodes["main/double"]["source"]


def test_equal_code_is_one_version_and_other_code_is_another() -> None:
    def other(state: Path) -> dict[str, list[str]]:
        return {"path": ["other"]}

    assert read_code(built())["version"] == read_code(built())["version"]
    changed = graph_of("^>plan", plan=other).compile()
    assert read_code(changed)["version"] != read_code(graph_of("^>plan", plan=plan).compile())["version"]


def test_the_text_is_written_with_the_first_engagement_and_named_by_the_others(seen: Seen) -> None:
    graph = built()
    for _ in range(3):
        graph.invoke({"path": []})
    first, second, third = bodies(seen, "engagement_started")
    assert first["code"] == second["code"] == third["code"]
    assert ["@code" in body for body in (first, second, third)] == [True, False, False]
    engagement = seen.all()[0]
    code = Resolver(lambda blob_id: seen.store.blob(engagement.id, blob_id))(first["@code"])
    assert by_node(code)["plan"]["source"] == inspect.getsource(plan)
    assert graph in live_graphs(first["code"])


def test_the_text_comes_again_so_that_a_purge_of_the_oldest_leaves_it(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_code, "_REPEAT", 2)
    graph = built()
    for _ in range(4):
        graph.invoke({"path": []})
    assert ["@code" in body for body in bodies(seen, "engagement_started")] == [True, False, True, False]


def test_a_later_turn_with_other_code_says_so(seen: Seen) -> None:
    import ftnb

    with ftnb.record("two"):
        graph_of("^>plan", plan=plan).compile().invoke({"path": []})
        graph_of("^>plan", plan=plan).compile().invoke({"path": []})
        graph_of("^>plan", plan=late).compile()
        graph_of("^>plan", plan=Search()).compile().invoke({"path": []})
    said = [body["code"] for body in bodies(seen, "engagement_labelled") if "code" in body]
    assert len(said) == 2
    assert said[0] != said[1]


def test_a_step_costs_nothing_and_a_graph_is_read_once(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    n_reads = []
    original = _code.read_code
    monkeypatch.setattr(_code, "read_code", lambda graph: n_reads.append(graph) or original(graph))
    graph = graph_of("^>a", "a>b", "b>c", "c>$").compile()
    for _ in range(5):
        graph.invoke({"path": []})
    assert len(seen.all()) == 5
    assert len(n_reads) == 1


def test_a_workflow_shows_the_users_function_not_its_wrapper() -> None:
    wf = Workflow("w", state_schema=Path)

    @wf.step
    def greet(state: Path) -> dict[str, list[str]]:
        return {"path": ["greet"]}

    wf.entry("greet")
    wf.finish("greet")
    nodes = by_node(read_code(wf.compile()))
    assert '["greet"]' in nodes["greet"]["source"]


def test_a_graph_whose_code_cannot_be_read_is_recorded_all_the_same(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(graph: Any) -> Any:
        raise RuntimeError("no")

    monkeypatch.setattr(_code, "read_code", broken)
    graph = StateGraph(Path).add_node("a", plan).add_edge(START, "a").compile()
    graph.invoke({"path": []})
    assert [step.name for step in seen.one().steps] == ["a"]
    assert "code" not in bodies(seen, "engagement_started")[0]
