from __future__ import annotations

import pytest

from ftnb.widget.compare import align_steps, comparison_payload
from ftnb.widget.payload import engagement_payload
from ftnb.widget.protocol import Pair
from tests.widget import traces


def test_steps_of_the_same_node_visit_and_attempt_belong_together() -> None:
    payload = comparison_payload(engagement_payload(traces.house()), engagement_payload(traces.house(fail=True)))
    a, b = (run["steps"] for run in payload["runs"])
    kinds = [pair["kind"] for pair in payload["alignment"]]
    assert (kinds.count("same"), kinds.count("changed"), kinds.count("only_a")) == (9, 1, 5)
    for pair in payload["alignment"]:
        if pair["a"] is not None and pair["b"] is not None:
            assert (a[pair["a"]]["name"], a[pair["a"]]["visit"]) == (b[pair["b"]]["name"], b[pair["b"]]["visit"])
    (changed,) = [pair for pair in payload["alignment"] if pair["kind"] == "changed"]
    assert changed["note"] == "completed → failed"


def test_every_step_of_both_runs_is_in_exactly_one_pair() -> None:
    for first in (traces.house, traces.nested, traces.paused, traces.empty):
        a, b = engagement_payload(first()), engagement_payload(traces.house(fail=True))
        pairs = comparison_payload(a, b)["alignment"]
        assert sorted(pair["a"] for pair in pairs if pair["a"] is not None) == list(range(len(a["steps"])))
        assert sorted(pair["b"] for pair in pairs if pair["b"] is not None) == list(range(len(b["steps"])))


def test_a_step_of_the_second_run_alone_stands_where_it_ran() -> None:
    a, b = engagement_payload(traces.house(fail=True)), engagement_payload(traces.house())
    pairs = align_steps(a["steps"], b["steps"])
    names = [b["steps"][p["b"]]["name"] for p in pairs if p["a"] is None and p["b"] is not None]
    assert names == ["refine", "search_city", "search_coast", "rank", "submitted"]
    assert [p["b"] for p in pairs if p["b"] is not None][:9] == list(range(9))


def test_a_given_alignment_is_kept_and_completed() -> None:
    a, b = engagement_payload(traces.house()), engagement_payload(traces.house())
    given: list[Pair] = [Pair(a=3, b=0, kind="changed", note="the other tool")]
    alignment = comparison_payload(a, b, alignment=given)["alignment"]
    assert alignment[0] == given[0]
    assert len(alignment) == 1 + 14 + 14
    with pytest.raises(IndexError, match="step 99 of run b, which has 15"):
        comparison_payload(a, b, alignment=[Pair(a=0, b=99, kind="same", note="")])


def test_the_graph_holds_both_runs() -> None:
    payload = comparison_payload(engagement_payload(traces.house()), engagement_payload(traces.nested()))
    nodes = payload["nodes"]
    names = {node["name"]: node for node in nodes}
    assert names["greet"]["b"] is None
    assert names["research"]["a"] is None
    find = names["research/find"]
    assert find["parent"] == nodes.index(names["research"])
    assert [node["kind"] for node in nodes].count("start") == 1
    assert len(payload["layout"]["across"]["nodes"]) == len(nodes)
    taken = {
        (nodes[edge["source"]]["name"], nodes[edge["target"]]["name"]): (edge["a"], edge["b"])
        for edge in payload["edges"]
    }
    assert taken["search_city", "rank"] == (3, 0)
    assert taken["fact_check", "write"] == (0, 1)


def test_runs_that_disagree_on_what_holds_what_make_no_circle() -> None:
    a, b = engagement_payload(traces.nested()), engagement_payload(traces.nested())
    find = next(i for i, node in enumerate(b["nodes"]) if node["name"] == "research/find")
    research = next(i for i, node in enumerate(b["nodes"]) if node["name"] == "research")
    b["nodes"][find]["parent"], b["nodes"][research]["parent"] = None, find
    nodes = comparison_payload(a, b)["nodes"]
    for index in range(len(nodes)):
        seen, at = set(), index
        while (up := nodes[at]["parent"]) is not None:
            assert up not in seen
            seen.add(up)
            at = up
