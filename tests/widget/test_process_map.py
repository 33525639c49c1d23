from __future__ import annotations

from typing import Any

import pandas as pd
import polars as pl
import pytest

from ftnb.core.errors import InvalidArgumentError
from ftnb.widget.process_map import MapSource, process_map_payload

NODES: list[dict[str, Any]] = [
    {"name": "greet", "n_visits": 12, "n_engagements": 10, "n_dropped": 3, "median_ms": 120.0, "total_tokens": 90},
    {"name": "done", "n_visits": 7, "n_engagements": 7, "n_dropped": 0, "median_ms": None, "total_tokens": 0},
]
EDGES: list[dict[str, Any]] = [
    {"from_name": None, "to_name": "greet", "n": 10, "n_engagements": 10, "median_ms": None},
    {"from_name": "greet", "to_name": "done", "n": 7, "n_engagements": 7, "median_ms": 55.5},
    {"from_name": "done", "to_name": None, "n": 7, "n_engagements": 7, "median_ms": None},
]


@pytest.mark.parametrize("make", [list, pl.DataFrame, pd.DataFrame], ids=["rows", "polars", "pandas"])
def test_numbers_come_from_rows_or_any_frame(make: Any) -> None:
    payload = process_map_payload(MapSource("all", 10, make(NODES), make(EDGES)), goal_nodes=["done"])
    assert [(node["kind"], node["name"]) for node in payload["nodes"]] == [
        ("step", "greet"), ("step", "done"), ("start", ""), ("end", ""),
    ]  # fmt: skip
    assert payload["nodes"][0]["numbers"] == [
        {"n": 12, "n_engagements": 10, "n_dropped": 3, "duration_ms": 120.0, "total_tokens": 90, "cost": None}
    ]
    assert payload["nodes"][1]["numbers"][0]["duration_ms"] is None
    assert payload["nodes"][1]["is_goal"]
    assert [edge["numbers"][0]["n"] for edge in payload["edges"]] == [10, 7, 7]
    assert [edge["numbers"][0]["duration_ms"] for edge in payload["edges"]] == [None, 55.5, None]
    assert len(payload["layout"]["down"]["edges"]) == 3


def test_what_only_one_group_did_counts_nothing_in_the_other() -> None:
    extra = [*EDGES, {"from_name": "greet", "to_name": None, "n": 3, "n_engagements": 3}]
    payload = process_map_payload(MapSource("a", 10, NODES, EDGES), MapSource("b", 20, NODES, extra))
    assert [group["n_engagements"] for group in payload["groups"]] == [10, 20]
    assert [numbers["n"] for numbers in payload["edges"][-1]["numbers"]] == [0, 3]


def test_names_that_are_no_words_are_only_names() -> None:
    nodes = [{"name": name, "n_visits": 1, "n_engagements": 1} for name in ("__proto__", "start", "")]
    payload = process_map_payload(
        MapSource("a", 1, nodes, [{"from_name": None, "to_name": "start", "n": 1, "n_engagements": 1}])
    )
    assert [(node["kind"], node["name"]) for node in payload["nodes"]] == [
        ("step", "__proto__"), ("step", "start"), ("step", ""), ("start", ""),
    ]  # fmt: skip


def test_what_cannot_be_drawn_is_refused_with_a_reason() -> None:
    with pytest.raises(InvalidArgumentError, match="one group of engagements or two, not 0"):
        process_map_payload()
    with pytest.raises(InvalidArgumentError, match="needs 'n_visits'; it has: name"):
        process_map_payload(MapSource("a", 1, [{"name": "x"}], []))


def test_numbers_of_the_analysis_fit() -> None:
    from ftnb.analytics import directly_follows
    from ftnb.recorder import Recorder
    from ftnb.store.memory import MemoryStore

    recorder = Recorder(MemoryStore())
    for _ in range(3):
        engagement = recorder.start_engagement("x", goal_nodes={"b"})
        for name in ("a", "b"):
            step = recorder.start_step(engagement, name)
            recorder.end_step(step, "completed", duration_ms=5.0)
        recorder.end_engagement(engagement, "completed")
    recorder.flush()
    flow = directly_follows(recorder.store)
    payload = process_map_payload(MapSource("all", 3, flow.nodes(), flow.frame()))
    assert {node["name"]: node["numbers"][0]["n"] for node in payload["nodes"] if node["kind"] == "step"} == {
        "a": 3,
        "b": 3,
    }
    recorder.close()
