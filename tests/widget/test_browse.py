from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

import ftnb
from ftnb.core.errors import UnknownEngagementError
from ftnb.frames.schema import ENGAGEMENTS, polars_schema
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from ftnb.widget.browse import PAGE, Catalogue, checked_query, first_query
from ftnb.widget.browser_table import static_table

T0 = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


def engagements(n: int = 120, **columns: Any) -> pl.DataFrame:
    """`n` engagements: every third failed; user ids differ, versions do not."""
    failed = [i % 3 == 0 for i in range(n)]
    data = {
        "engagement_id": [f"e{i:06d}" for i in range(n)],
        "name": ["search" if i % 2 else "booking" for i in range(n)],
        "status": ["failed" if f else "completed" for f in failed],
        "started_at": [T0 + timedelta(minutes=i) for i in range(n)],
        "ended_at": [T0 + timedelta(minutes=i + 1) for i in range(n)],
        "duration_ms": [None if i == 5 else float(i * 10) for i in range(n)],
        "wait_ms": [0.0] * n,
        "n_turns": [1] * n,
        "n_steps": [i % 7 + 1 for i in range(n)],
        "n_errors": [int(f) for f in failed],
        "total_tokens": [i * 100 for i in range(n)],
        "dropped_at": ["rank" if f else None for f in failed],
        "parent_id": [None] * n,
        "metadata": [f'{{"user":"u-{i}","version":"v{i % 2 + 1}","deep":{{"a":1}}}}' for i in range(n)],
        "error": ["KeyError: price" if f else None for f in failed],
        **columns,
    }
    schema = {name: dtype for name, dtype in polars_schema(ENGAGEMENTS).items() if name in data}
    return pl.DataFrame(data, schema=schema)


def page(frame: pl.DataFrame | None = None, **query: Any) -> Any:
    return Catalogue(engagements() if frame is None else frame).page(first_query(**query), title="t")


def test_only_a_page_travels_the_newest_first() -> None:
    first = page()
    assert [row["id"] for row in first["rows"]] == [f"e{i:06d}" for i in range(119, 119 - PAGE, -1)]
    assert (first["n"], first["n_found"]) == (120, 120)
    assert [row["id"] for row in page(page=2)["rows"]] == [f"e{i:06d}" for i in range(19, -1, -1)]
    assert page(page=99)["query"]["page"] == 2


@pytest.mark.parametrize("column", ["duration_ms", "n_steps", "name", "dropped_at"])
@pytest.mark.parametrize("descending", [True, False])
def test_sorting_agrees_with_the_frame_and_puts_what_is_not_known_last(column: str, descending: bool) -> None:
    shown = [row[column] for row in page(sort=column, descending=descending)["rows"]]
    values = engagements()[column].sort(descending=descending, nulls_last=True).to_list()
    assert shown == values[:PAGE]


def test_choices_of_a_field_add_up_and_fields_narrow_each_other() -> None:
    both = [{"field": "status", "values": ["failed", "completed"]}, {"field": "meta:version", "values": ["v1"]}]
    found = page(picked=both)
    assert found["n_found"] == 60
    assert {dict(row["metadata"])["version"] for row in found["rows"]} == {"v1"}
    assert page(picked=[{"field": "status", "values": ["failed"]}], text="booking")["n_found"] == 20


def test_facets_count_what_all_other_choices_leave() -> None:
    facets = {one["field"]: one for one in page(picked=[{"field": "status", "values": ["failed"]}])["facets"]}
    assert {(v["value"], v["n"], v["picked"]) for v in facets["status"]["values"]} == {
        ("completed", 80, False),
        ("failed", 40, True),
    }
    assert {(v["value"], v["n"]) for v in facets["name"]["values"]} == {("booking", 20), ("search", 20)}
    # A key that tells every engagement from all others groups none of them.
    assert "meta:user" not in facets
    assert facets["meta:version"]["label"] == "version"


def test_a_chosen_value_stays_listed_when_nothing_has_it() -> None:
    found = page(picked=[{"field": "status", "values": ["paused"]}])
    assert found["n_found"] == 0
    assert ("paused", 0, True) in {(v["value"], v["n"], v["picked"]) for v in found["facets"][0]["values"]}


def test_text_is_found_in_names_ids_metadata_and_errors() -> None:
    assert page(text="KEYERROR")["n_found"] == 40
    assert page(text="u-77")["n_found"] == 1
    assert page(text="e000077")["rows"][0]["id"] == "e000077"
    assert page(text=".*")["n_found"] == 0


def test_spreads_count_every_engagement_once() -> None:
    spreads = {one["field"]: one for one in page()["spreads"]}
    assert sum(spreads["duration_ms"]["counts"]) == 119
    assert sum(spreads["total_tokens"]["counts"]) == 120
    assert (spreads["total_tokens"]["low"], spreads["total_tokens"]["high"]) == (0.0, 11_900.0)


def test_no_engagement_and_one_are_shown_too() -> None:
    assert page(engagements(0))["rows"] == []
    assert (page(engagements(1))["n_found"], page(engagements(1))["spreads"]) == (1, [])


@pytest.mark.parametrize(
    "asked",
    [
        {"sort": "__proto__", "page": -1, "picked": "x", "text": None},
        {"sort": ["name"], "page": "2", "picked": [None, {"field": 3}, {"field": "status", "values": [1, {}]}]},
        {"picked": [{"field": "no such column", "values": ["a"]}]},
        {"text": {"a": 1}, "descending": "no", "page": 10**30},
    ],
)
def test_what_a_browser_sends_is_not_trusted(asked: dict[str, Any]) -> None:
    query = checked_query(asked)
    found = Catalogue(engagements(7)).page(query, title="t")
    assert found["query"]["sort"] == "started_at"
    assert found["n_found"] in (0, 7)


def test_metadata_of_any_shape_is_shown_as_far_as_it_is_words() -> None:
    texts = ['{"__proto__":"x","n":1,"ok":true,"deep":{"a":1},"none":null}', "[1]", "not json"]
    rows = page(engagements(3, metadata=texts))["rows"]
    assert sorted(map(tuple, rows[2]["metadata"])) == [("__proto__", "x"), ("n", "1"), ("ok", "true")]
    assert rows[0]["metadata"] == rows[1]["metadata"] == []


def test_the_table_without_script_escapes_and_says_what_it_leaves_out() -> None:
    frame = engagements(40, name=["<img src=x onerror=alert(1)>"] * 40)
    html = static_table(page(frame))
    assert "<img" not in html
    assert html.count("<tr>") == 26
    assert "and 15 more" in html


def test_the_widget_turns_pages_and_opens_a_run() -> None:
    store = SQLiteStore()
    recorder = Recorder(store)
    ids = []
    for number in range(3):
        ids.append(recorder.start_engagement(f"run {number}"))
        recorder.end_step(recorder.start_step(ids[-1], "greet"))
    recorder.close()
    view = ftnb.open(store).browse(text="run")
    view._take(None, {"op": "browse", "query": {"text": "run 1", "sort": "name"}}, [])
    assert [row["id"] for row in view.payload["rows"]] == [ids[1]]
    view._take(None, {"op": "open", "engagement": ids[2], "step": "greet"}, [])
    assert view.opened is not None
    assert view.opened.engagement.id == ids[2]
    assert len(view.opened.selection) == 1
    sent: list[Any] = []
    view.send = sent.append
    view._take(None, {"op": "open", "engagement": "nothing", "seq": 4}, [])
    assert "nothing" in sent[0]["error"]
    with pytest.raises(UnknownEngagementError):
        view.open_run("nothing")
    view._take(None, {"op": "open", "engagement": None}, [])
    assert view.opened is None
    view.close()


def _recorded(n: int) -> tuple[ftnb.Traces, list[str]]:
    store = SQLiteStore()
    recorder = Recorder(store)
    ids = []
    for number in range(n):
        ids.append(recorder.start_engagement(f"run {number}"))
        step = recorder.start_step(ids[-1], "greet", state={"said": f"the number is {number}"})
        recorder.end_step(step)
        recorder.end_engagement(ids[-1])
    recorder.close()
    return ftnb.open(store), ids


def test_of_a_large_store_the_newest_are_there_before_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftnb.browse._pages._MANY", 1)
    traces, ids = _recorded(PAGE + 10)
    counted = threading.Event()
    frames = traces._frames

    def later() -> Any:
        assert counted.wait(10)
        return frames()

    monkeypatch.setattr(traces, "_frames", later)
    view = traces.browse()
    shown = view._page
    assert [row["id"] for row in shown["rows"]] == ids[: -PAGE - 1 : -1]
    assert "counted" in shown["note"]
    assert ids[-1] in view._repr_mimebundle_()[0]["text/html"]
    counted.set()
    whole = view.payload
    assert (whole["n"], whole["note"], whole["rows"]) == (PAGE + 10, "", shown["rows"])
    assert [row["id"] for row in view.show(page=1)["rows"]] == ids[9::-1]
    view.close()


def test_a_store_that_fails_meanwhile_is_told_of_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftnb.browse._pages._MANY", 1)
    traces, ids = _recorded(2)

    def broken() -> Any:
        raise OSError("the disk is gone")

    monkeypatch.setattr(traces, "_frames", broken)
    view = traces.browse()
    assert view.payload["note"] == "OSError: the disk is gone"
    assert [row["id"] for row in view.payload["rows"]] == ids[::-1]
    view.close()


def test_recorded_values_are_searched_from_the_list_and_land_on_the_step() -> None:
    traces, ids = _recorded(4)
    view = traces.browse()
    found = view.show(text="number IS 2", within="values")
    assert [(hit["engagement"], hit["step_name"], hit["match"]) for hit in found["hits"]] == [
        (ids[2], "greet", "number is 2")
    ]
    assert (found["n"], found["n_found"], found["searches"]) == (4, 1, True)
    view._take(None, {"op": "open", "engagement": ids[2], "step": found["hits"][0]["step"]}, [])
    assert view.opened is not None
    assert list(view.opened.selection) == [found["hits"][0]["step"]]
    assert view.show(text="run 2", within="about")["rows"][0]["id"] == ids[2]
    assert traces.browse("number is", within="values").payload["n_found"] == 4
    view.close()
