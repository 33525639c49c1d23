from __future__ import annotations

from datetime import timedelta

import pytest

from ftnb.core.errors import InvalidArgumentError
from ftnb.frames.schema import STEPS
from ftnb.widget.view import EngagementView
from tests.widget import traces


@pytest.fixture
def view() -> EngagementView:
    return EngagementView(traces.house(fail=True))


def test_rows_of_the_selection_have_the_columns_of_steps(view: EngagementView) -> None:
    view.selection = ("s9", "s0")
    assert view.selected.columns == [column.name for column in STEPS]
    assert view.selected["step_id"].to_list() == ["s9", "s0"]
    assert view.selected["error"].to_list() == ["listing 2 has no price", None]
    view.select(None)
    assert view.selected.height == 0


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"name": "rank"}, ["rank", "rank"]),
        ({"status": "failed"}, ["present"]),
        ({"kind": "tool_call", "status": "failed"}, ["present"]),
        ({"kind": "llm_call", "status": "failed"}, []),
        ({"tool": "price"}, ["present"]),
        ({"kind": "extraction"}, ["qualify"]),
        ({"turn": 2}, []),
        ({"text": "NO PRICE"}, ["present"]),
        ({"text": "garden", "name": "greet"}, ["greet"]),
    ],
)
def test_a_filter_picks_steps(view: EngagementView, asked: dict[str, object], names: list[str]) -> None:
    assert view.filter(**asked)["name"].to_list() == names
    assert view.filtered["name"].to_list() == names


def test_a_filter_searches_whole_values(view: EngagementView) -> None:
    engagement = traces.house()
    engagement.steps[4].state_ref = "ref"
    whole = EngagementView(engagement, resolve=lambda ref: {"text": "x" * 9_000 + "needle"} if ref == "ref" else ref)
    assert whole.filter(text="needle")["step_id"].to_list() == ["s4"]
    assert whole._state["found"] == ["s4"]
    assert whole.filter().height == len(engagement.steps)
    assert whole._state["filter"] is None


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ({"nmae": "rank"}, "Did you mean 'name'"),
        ({"name": "rnak"}, "Did you mean 'rank'"),
        ({"kind": "tool"}, "Did you mean 'tool_call'"),
        ({"status": "broken"}, "'completed'"),
        ({"kind": "tool_call", "status": "running"}, "'failed'"),
        ({"turn": "x"}, "a turn is a number"),
    ],
)
def test_what_cannot_be_asked_says_what_can(view: EngagementView, asked: dict[str, object], hint: str) -> None:
    with pytest.raises(InvalidArgumentError, match=hint):
        view.filter(**asked)


def test_a_moment_is_ms_or_a_duration_or_a_time_within_the_run(view: EngagementView) -> None:
    assert view.seek(500) == 500.0
    assert view.seek(timedelta(seconds=1)) == 1_000.0
    assert view.seek(traces.at(245)) == 245.0
    assert view.seek(-3) == 0.0
    assert view.seek(1e12) == view.payload["timeline"]["total_ms"]  # type: ignore[index]
    assert view._state["time_ms"] == view.payload["timeline"]["total_ms"]  # type: ignore[index]
    assert view.seek(None) is None
    for wrong in ("now", True, float("nan")):
        with pytest.raises(InvalidArgumentError, match="seek takes ms"):
            view.seek(wrong)  # type: ignore[arg-type]


def test_the_browser_cannot_set_what_is_no_state(view: EngagementView) -> None:
    view._handle_custom_msg({"op": "state", "state": {"tab": "diff", "evil": 1, "graph": "x" * 99_999}}, [])
    assert view._state["tab"] == "diff"
    assert "evil" not in view._state
    assert view._state["graph"] is None
    view._handle_custom_msg({"op": "state", "state": {"filter": {"kind": "llm_call", "evil": 1}}}, [])
    assert set(view._state["filter"]) == {"text", "name", "status", "ns", "turn", "kind", "model", "tool"}
    assert view.filtered.height == 5


def test_pictures_are_files(view: EngagementView, tmp_path: object) -> None:
    svg = str(view.to_svg())
    assert svg.count("<svg") == 3
    assert "house_search" in svg
    assert "<script" not in svg
    pytest.importorskip("resvg_py")
    png = view.to_png(dark=True)
    assert isinstance(png, bytes)
    assert png.startswith(b"\x89PNG")
