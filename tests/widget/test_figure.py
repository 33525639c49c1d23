"""Figures that can be clicked: what a click selects, from Python as from the browser, and what viewers without see."""

from __future__ import annotations

import gzip
from typing import Any

import polars as pl
import pytest

from ftnb.analytics import conformance, costs, directly_follows, durations, funnel, outcomes, step_matrix, variants
from ftnb.core.errors import InvalidArgumentError
from tests.analytics._journeys import Case, Step, frames_of


def chain(path: str, version: str) -> Case:
    return Case([Step(name, gap=1000) for name in path], "completed", version)


SOURCE = frames_of([chain("AB", "v1"), chain("A", "v1"), chain("ABB", "v2")])


def test_a_click_selects_what_is_behind_a_bar() -> None:
    view = funnel(SOURCE, ["A", "B"]).widget()
    assert view.selected is None
    heard: list[Any] = []
    view.observe(lambda change: heard.append(change["new"]), "selection")
    # As the browser says it.
    view.set_state({"_clicked": {"curve": 0, "point": 1, "n": 1}})
    assert view.selected["engagement_id"].to_list() == ["e0", "e2"]
    assert view.selection == ("e0", "e2")
    assert heard == [("e0", "e2")]
    view.set_state({"_clicked": None})
    assert (view.selected, view.selection) == (None, ())


@pytest.mark.parametrize(
    "clicked",
    [{}, {"curve": 9, "point": 0}, {"curve": 0, "point": 99}, {"curve": "x", "point": {}}, {"curve": True, "point": 0},
     {"curve": 0, "point": [0, 0, 0]}],
)  # fmt: skip
def test_what_is_no_point_selects_nothing(clicked: dict[str, Any]) -> None:
    view = funnel(SOURCE, ["A", "B"]).widget()
    view.click(0, 0)
    view.set_state({"_clicked": {**clicked, "n": 2}})
    assert view.selected is None


def test_groups_are_told_apart() -> None:
    view = funnel(SOURCE, ["A", "B"], by="version").widget()
    assert view.click(0, 1)["engagement_id"].to_list() == ["e0"]
    assert view.click(1, 1)["engagement_id"].to_list() == ["e2"]
    view = directly_follows(SOURCE, by="version").figure_widget(kind="matrix", group="v2")
    start, b = 0, 1
    view.set_state({"_clicked": {"curve": 0, "point": [start, 0], "n": 1}})
    assert view.selected["engagement_id"].to_list() == ["e2"]
    view.set_state({"_clicked": {"curve": 0, "point": [2, b], "n": 2}})
    assert view.selection == ("e2",)


def test_every_result_with_engagements_behind_its_marks_can_be_clicked() -> None:
    events = pl.DataFrame({"engagement_id": ["e1"], "step_id": ["s0"], "kind": "llm_call", "model": "m",
                           "prompt_tokens": [1], "completion_tokens": [1]})  # fmt: skip
    assert costs((*SOURCE, events), prices={"m": (1, 1)}).widget().click(0, 0)["engagement_id"].to_list() == ["e1"]
    assert variants(SOURCE).widget().click(0, 0).height == 1
    assert outcomes(SOURCE).widget().click(0, 1)["engagement_id"].to_list() == ["e0", "e2"]
    checked = conformance(SOURCE, rules=["at most 1 B"]).widget()
    assert checked.click(0, 0)["engagement_id"].to_list() == ["e2"]
    matrix = step_matrix(SOURCE).widget()
    matrix.set_state({"_clicked": {"curve": 0, "point": [0, 0], "n": 1}})
    assert matrix.selected.height == 3


def test_marks_that_stand_for_no_engagements_say_so() -> None:
    with pytest.raises(InvalidArgumentError, match="marks of this figure of Durations stand for no engagements"):
        durations(SOURCE).widget()


def test_viewers_without_a_kernel_see_the_table_and_nothing_is_loaded_from_elsewhere() -> None:
    view = funnel(SOURCE, ["A", "B"]).widget()
    data, _ = view._repr_mimebundle_()
    assert "<table>" in data["text/html"]
    assert "<script" not in data["text/html"]
    assert "http" not in view._esm


def test_plotly_is_sent_when_it_is_asked_for_and_not_kept() -> None:
    view = funnel(SOURCE, ["A", "B"]).widget()
    sent: list[Any] = []
    view.send = lambda content, buffers=None: sent.append((content, buffers))  # type: ignore[method-assign]
    view._take(view, {"op": "plotly"}, [])
    view._take(view, {"op": "anything"}, [])
    view._take(view, "nonsense", [])
    [(content, [packed])] = sent
    assert content == {"op": "plotly"}
    assert b"plotly.js" in gzip.decompress(packed)[:2_000]
    assert len(str(view.get_state())) < 100_000
