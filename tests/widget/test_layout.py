from __future__ import annotations

import random
from itertools import combinations

import pytest

from ftnb.core.model import EdgeDef, Engagement, NodeDef, Topology
from ftnb.widget.layout import place_graph
from ftnb.widget.payload import engagement_payload
from ftnb.widget.protocol import EngagementPayload
from tests.widget import traces


def _payload(n: int, edges: list[tuple[int, int]]) -> EngagementPayload:
    topology = Topology(
        nodes=[NodeDef(name=f"n{i}") for i in range(n)],
        edges=[EdgeDef(source=f"n{a}", target=f"n{b}") for a, b in edges],
    )
    return engagement_payload(Engagement(name="g", topology=topology))


def _overlaps(payload: EngagementPayload, *, across: bool) -> list[tuple[int, int]]:
    boxes = place_graph(payload["nodes"], payload["edges"], across=across)["nodes"]
    parents = [node["parent"] for node in payload["nodes"]]
    return [
        (i, j)
        for i, j in combinations(range(len(boxes)), 2)
        if parents[i] == parents[j]
        and abs(boxes[i][0] - boxes[j][0]) < (boxes[i][2] + boxes[j][2]) / 2 - 0.2
        and abs(boxes[i][1] - boxes[j][1]) < (boxes[i][3] + boxes[j][3]) / 2 - 0.2
    ]


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("name", list(traces.ALL))
def test_no_two_nodes_overlap(name: str, across: bool) -> None:
    assert _overlaps(engagement_payload(traces.ALL[name]()), across=across) == []


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_with_cycles_are_placed_without_overlap(seed: int) -> None:
    rng = random.Random(seed)
    n = rng.randint(1, 40)
    edges = [(rng.randrange(n), rng.randrange(n)) for _ in range(rng.randint(0, 2 * n))]
    assert _overlaps(_payload(n, edges), across=True) == []


def test_flow_runs_forward_and_only_loops_run_back() -> None:
    payload = engagement_payload(traces.house())
    place = payload["layout"]["across"]
    names = [node["name"] for node in payload["nodes"]]
    back = {
        (names[edge["source"]], names[edge["target"]])
        for edge in payload["edges"]
        if place["nodes"][edge["target"]][0] <= place["nodes"][edge["source"]][0]
    }
    assert back == {("refine", "search_city"), ("refine", "search_coast")}


def test_parallel_branches_stand_beside_each_other() -> None:
    payload = engagement_payload(traces.house())
    x = {node["name"]: box[0] for node, box in zip(payload["nodes"], payload["layout"]["across"]["nodes"], strict=True)}
    assert x["search_city"] == x["search_coast"]


def test_the_picture_depends_on_the_topology_alone() -> None:
    """Two runs of one workflow look alike, whatever ways they took."""
    assert engagement_payload(traces.house())["layout"] == engagement_payload(traces.house(fail=True))["layout"]


def test_children_lie_inside_their_subgraph() -> None:
    payload = engagement_payload(traces.nested())
    for placement in (payload["layout"]["across"], payload["layout"]["down"]):
        for node, (x, y, w, h) in zip(payload["nodes"], placement["nodes"], strict=True):
            if node["parent"] is None:
                continue
            px, py, pw, ph = placement["nodes"][node["parent"]]
            assert abs(x - px) + w / 2 <= pw / 2 + 0.1
            assert abs(y - py) + h / 2 <= ph / 2 + 0.1


def test_everything_is_inside_the_stated_size() -> None:
    for make in traces.ALL.values():
        placement = engagement_payload(make())["layout"]["down"]
        for x, y, w, h in placement["nodes"]:
            assert -0.1 <= x - w / 2 <= x + w / 2 <= placement["width"] + 0.1
            assert -0.1 <= y - h / 2 <= y + h / 2 <= placement["height"] + 0.1


def test_a_subgraph_that_is_its_own_parent_is_no_endless_loop() -> None:
    topology = Topology(
        nodes=[NodeDef(name="a", parent="b"), NodeDef(name="b", parent="a"), NodeDef(name="c", parent="c")]
    )
    payload = engagement_payload(Engagement(name="odd", topology=topology))
    assert [node["parent"] for node in payload["nodes"]].count(None) == 2
