"""The declared graph, read from what was compiled."""

from __future__ import annotations

from inspect import signature
from typing import Any, Literal

import pytest
from langchain_core.tools import tool
from langgraph.graph import END, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

from ftnb.core.model import Topology
from ftnb.langgraph_adapter import read_topology
from ftnb.langgraph_adapter.topology import merge
from tests.capture.shapes import Path, graph_of, visit


def edges(topology: Topology) -> list[str]:
    return [
        f"{edge.source}>{edge.target} {edge.kind}" + (f" [{edge.condition}]" if edge.condition else "")
        for edge in topology.edges
    ]


def test_edges_by_kind_without_the_synthetic_nodes() -> None:
    def next_(state: Path) -> str:
        return "again"

    graph = graph_of("^>a", "a>b", "a>c", "b+c>d")
    graph.add_conditional_edges("d", next_, {"again": "a", "stop": END})
    topology = read_topology(graph.compile())
    assert [node.name for node in topology.nodes] == ["a", "b", "c", "d"]
    assert sorted(edges(topology)) == ["a>b static", "a>c static", "b>d join", "c>d join", "d>a conditional [again]"]
    assert (topology.entry, topology.finish) == (["a"], ["d"])


def test_destinations_of_commands() -> None:
    def route(state: Path) -> Command[Literal["b", "__end__"]]:
        return Command(goto="b")

    topology = read_topology(graph_of("^>route", nodes=["b"], route=route).compile())
    assert edges(topology) == ["route>b goto"]
    assert topology.finish == ["route", "b"]


def test_a_router_without_a_path_map_declares_nothing() -> None:
    graph = graph_of("^>a", nodes=["b"])
    graph.add_conditional_edges("a", lambda state: "b")
    topology = read_topology(graph.compile())
    assert edges(topology) == []
    assert topology.finish == ["b"]


@pytest.mark.skipif("error_handler" not in signature(StateGraph.add_node).parameters, reason="from LangGraph 1.2 on")
def test_error_handlers() -> None:
    graph = graph_of("^>a")
    graph.add_node("risky", visit("risky"), error_handler=visit("rescue"))
    graph.add_edge("a", "risky")
    assert "risky>__error_handler__risky error" in edges(read_topology(graph.compile()))


def test_subgraphs_lie_in_their_node() -> None:
    inner = graph_of("^>x", "x>y").compile()
    topology = read_topology(graph_of("^>a", "a>sub", sub=inner).compile(), global_nodes={"sub/y"})
    assert [(node.name, node.parent, node.is_global) for node in topology.nodes] == [
        ("a", None, False),
        ("sub", None, False),
        ("sub/x", "sub", False),
        ("sub/y", "sub", True),
    ]
    assert edges(topology) == ["sub/x>sub/y static", "a>sub static"]
    assert (topology.entry, topology.finish) == (["a"], ["sub"])


def test_tools_of_a_tool_node_unless_they_are_said() -> None:
    @tool
    def look(x: str) -> str:
        """Look."""
        return x

    def tools_of(**said: Any) -> dict[str, list[str]]:
        topology = read_topology(graph_of("^>a", "a>tools", tools=ToolNode([look])).compile(), **said)
        return {node.name: node.tools for node in topology.nodes}

    assert tools_of() == {"a": [], "tools": ["look"]}
    assert tools_of(node_tools={"a": ["b"], "tools": ["c"]}) == {"a": ["b"], "tools": ["c"]}


def test_the_functional_api() -> None:
    from langgraph.func import entrypoint

    @entrypoint()
    def flow(x: int) -> int:
        return x

    assert [node.name for node in read_topology(flow).nodes] == ["flow"]


def test_the_same_graph_always_reads_the_same() -> None:
    def build() -> Topology:
        return read_topology(graph_of("^>a", "a>b", "a>c", "a>d", "b+c+d>e", "e>$").compile())

    assert build() == build()


def test_merging_keeps_what_was_known() -> None:
    first, second = (read_topology(graph_of(*edges).compile()) for edges in (("^>a", "a>b"), ("^>a", "a>c")))
    merged = merge(first, second)
    assert [node.name for node in merged.nodes] == ["a", "b", "c"]
    assert edges(merged) == ["a>b static", "a>c static"]
    assert merge(merged, first) is merged
