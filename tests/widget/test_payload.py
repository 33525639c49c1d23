from __future__ import annotations

import json
from typing import Any

import pytest

from ftnb.core.model import Engagement, Step, Topology
from ftnb.widget.payload import engagement_payload
from ftnb.widget.protocol import EngagementPayload
from tests.widget import golden, traces


def _edges(payload: EngagementPayload, **where: Any) -> set[tuple[str, str]]:
    names = [node["label"] or node["kind"] for node in payload["nodes"]]
    return {
        (names[edge["source"]], names[edge["target"]])
        for edge in payload["edges"]
        if all(edge[key] == value for key, value in where.items())  # type: ignore[literal-required]
    }


@pytest.mark.parametrize("name", golden.NAMES)
def test_the_payload_is_what_the_browser_tests_expect(name: str) -> None:
    expected = (golden.FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert golden.render(name) == expected, "run `python -m tests.widget.golden` and look at the difference"


def test_edges_say_how_often_they_were_taken() -> None:
    payload = engagement_payload(traces.house())
    assert _edges(payload, taken=3) == {("search_city", "rank"), ("search_coast", "rank")}
    assert _edges(payload, taken=0) == {("present", "refine"), ("escalate", "submitted")}
    assert ("start", "greet") in _edges(payload, taken=1)
    assert ("submitted", "end") in _edges(payload, taken=1)


def test_a_join_has_all_its_causes() -> None:
    payload = engagement_payload(traces.house())
    rank = next(i for i, step in enumerate(payload["steps"]) if step["name"] == "rank")
    causes = [payload["steps"][c["source"]]["name"] for c in payload["causes"] if c["target"] == rank]
    assert causes == ["search_city", "search_coast"]


def test_undeclared_nodes_and_edges_are_marked_and_kept() -> None:
    payload = engagement_payload(traces.nested())
    assert [node["name"] for node in payload["nodes"] if not node["declared"]] == ["fact_check"]
    assert _edges(payload, declared=False) == {("research", "fact_check"), ("fact_check", "write")}
    assert _edges(payload, declared=True, taken=0) == {("research", "write")}


def test_steps_in_subgraphs_belong_to_their_nested_nodes() -> None:
    payload = engagement_payload(traces.nested())
    nodes = payload["nodes"]
    find = nodes[payload["steps"][2]["node"]]
    assert (find["name"], find["label"], find["n_visits"]) == ("research/find", "find", 2)
    assert find["parent"] is not None
    assert nodes[find["parent"]]["name"] == "research"


def test_without_a_topology_nothing_is_undeclared() -> None:
    engagement = traces.house()
    engagement.topology = Topology()
    payload = engagement_payload(engagement)
    assert all(node["declared"] for node in payload["nodes"])
    assert all(edge["declared"] and edge["taken"] for edge in payload["edges"])


def test_a_trace_without_causes_is_read_in_its_order() -> None:
    engagement = Engagement(name="old")
    for name in ("a", "b", "a"):
        engagement.steps.append(Step(engagement_id=engagement.id, name=name))
    payload = engagement_payload(engagement)
    assert [(c["source"], c["target"], c["kind"]) for c in payload["causes"]] == [(0, 1, "order"), (1, 2, "order")]


def test_a_resume_is_a_cause_and_no_edge() -> None:
    payload = engagement_payload(traces.paused())
    assert (1, 2, "resume") in [(c["source"], c["target"], c["kind"]) for c in payload["causes"]]
    assert ("qualify", "qualify") not in _edges(payload)
    qualify = next(node for node in payload["nodes"] if node["name"] == "qualify")
    assert (qualify["n_steps"], qualify["n_visits"]) == (2, 1)


def test_long_idle_stretches_are_found_and_short_ones_are_not() -> None:
    assert engagement_payload(traces.paused())["timeline"]["idle"] == [[425.0, 7_200_000.0]]
    assert engagement_payload(traces.house())["timeline"]["idle"] == []


def test_an_intent_switch_knows_the_step_that_it_entered() -> None:
    payload = engagement_payload(traces.paused())
    (switch,) = payload["timeline"]["switches"]
    assert switch["step"] is not None
    assert payload["steps"][switch["step"]]["name"] == "escalate"


def test_gaps_errors_and_goals_reach_the_view() -> None:
    assert engagement_payload(traces.nested())["gaps"] == [
        {"reason": "queue_full", "count": 3, "detail": "payloads over 64 MB"}
    ]
    failed = engagement_payload(traces.house(fail=True))
    assert failed["engagement"]["n_failing_steps"] == 1
    assert failed["steps"][-1]["failing"]
    assert [node["name"] for node in failed["nodes"] if node["is_goal"]] == ["submitted"]


def test_states_are_resolved_when_asked_and_stay_references_otherwise() -> None:
    engagement = traces.house()
    engagement.steps[0].state_ref = {"text": {"$ftnb": "ref", "id": "b1", "n_bytes": 9000}}
    unresolved = engagement_payload(engagement)["details"][0]["state"]
    assert unresolved == {"value": engagement.steps[0].state_ref, "cut": True, "n_bytes": 49 + 9000}
    resolved = engagement_payload(engagement, resolve=lambda ref: {"text": "whole"})["details"][0]["state"]
    assert resolved is not None
    assert (resolved["value"], resolved["cut"]) == ({"text": "whole"}, False)


def test_a_failing_resolve_is_told_and_hides_nothing_else() -> None:
    def resolve(ref: Any) -> Any:
        raise OSError("store is closed")

    payload = engagement_payload(traces.house(), resolve=resolve)
    state = payload["details"][0]["state"]
    assert state is not None
    assert "store is closed" in state["value"]["why"]
    assert payload["details"][0]["events"][0]["payload"]["value"]["text"]


def test_details_can_be_left_out() -> None:
    assert engagement_payload(traces.house(), details="none")["details"] == []


def test_the_payload_is_json_and_does_not_change_the_engagement() -> None:
    engagement = traces.hostile()
    before = engagement.model_dump()
    assert json.loads(json.dumps(engagement_payload(engagement))) == engagement_payload(engagement)
    assert engagement.model_dump() == before
