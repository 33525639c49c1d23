from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftnb.core.errors import InvalidArgumentError, UnknownStepError
from ftnb.core.model import Engagement, EventKind
from ftnb.live._costs import step_costs
from ftnb.widget.view import EngagementView, runtime
from tests.widget import traces


class _Recorded(EngagementView):
    """Keeps what is sent to the browser."""

    def __init__(self, engagement: Engagement, **kwargs: Any) -> None:
        self.sent: list[Any] = []
        super().__init__(engagement, **kwargs)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sent.append(content)

    def receive(self, **content: Any) -> None:
        self._handle_custom_msg(content, [])


def test_select_by_name_and_visit_returns_the_step() -> None:
    view = EngagementView(traces.house())
    assert view.select("search_city", visit=2).id == "s6"  # type: ignore[union-attr]
    assert view.selection == ("s6",)
    assert view.selected["name"].to_list() == ["search_city"]
    assert view.select("search_city").visit == 3  # type: ignore[union-attr]
    assert view.select("s0").name == "greet"  # type: ignore[union-attr]
    assert view.select(None) is None
    assert view.selection == ()


def test_unknown_steps_and_visits_say_what_there_is() -> None:
    view = EngagementView(traces.house())
    with pytest.raises(UnknownStepError, match="Did you mean 'search_city'"):
        view.select("serach_city")
    with pytest.raises(InvalidArgumentError, match="no visit 9; it has: 1, 2, 3"):
        view.select("rank", visit=9)


def test_a_selection_in_the_browser_reaches_observers_once() -> None:
    view = _Recorded(traces.house())
    seen: list[Any] = []
    view.observe(lambda change: seen.append(change["new"]), "selection")
    view.receive(op="select", selection=["s3"], seq=1)
    view.set_state({"selection": ["s3"]})
    assert seen == [("s3",)]


def test_messages_from_the_browser_are_not_trusted() -> None:
    view = _Recorded(traces.house())
    for content in ({"op": "select", "selection": ["s1", "nope", 3, None]}, {"op": "unknown"}, {"op": "select"}):
        view.receive(**content)
    assert view.selection == ("s1",)
    view._handle_custom_msg("text", [])
    assert view.selection == ("s1",)


def test_the_whole_value_is_sent_on_request() -> None:
    engagement = traces.house()
    engagement.steps[0].state_ref = "ref"
    text = "x" * 50_000
    view = _Recorded(engagement, resolve=lambda ref: {"text": text} if ref == "ref" else ref)
    shown = view.payload["details"][0]["state"]
    assert shown["cut"]
    view.receive(op="fetch", part="state", step="s0", event=None, seq=7)
    (answer,) = view.sent
    assert (answer["op"], answer["seq"], answer["error"]) == ("value", 7, None)
    assert answer["preview"]["value"] == {"text": text}


@pytest.mark.parametrize(
    ("step", "part", "event"),
    [
        ("nope", "state", None),
        ("s0", "event", 99),
        ("s0", "event", None),
        ("s0", "extraction", None),
        ("s0", "x", None),
    ],
)
def test_a_request_for_what_is_not_there_is_answered_with_the_reason(step: str, part: str, event: int | None) -> None:
    view = _Recorded(traces.house())
    view.receive(op="fetch", part=part, step=step, event=event, seq=1)
    (answer,) = view.sent
    assert answer["preview"] is None
    assert answer["error"]


def test_update_shows_the_newer_state_and_keeps_the_selection() -> None:
    view = EngagementView(traces.running())
    view.select("search_coast")
    view.update(traces.house())
    assert len(view.payload["steps"]) == 15
    assert view.selection == ("s3",)
    view.update(traces.empty())
    assert view.selection == ()


def test_views_share_one_runtime_and_carry_no_bundle() -> None:
    one, two = EngagementView(traces.house()), EngagementView(traces.empty())
    assert one._runtime is two._runtime is runtime()
    assert len(one.get_state("_esm")["_esm"]) < 500


def test_the_output_has_the_widget_a_picture_and_one_line() -> None:
    data, _ = EngagementView(traces.house())._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "<svg" in data["text/html"]
    assert data["text/plain"] == "house_search: completed, 4.32 s, 15 steps, 1,994 tokens"


def test_to_html_writes_or_returns_the_same_document(tmp_path: Path) -> None:
    view = EngagementView(traces.house())
    path = view.to_html(tmp_path / "run.html")
    assert Path(path).read_text(encoding="utf-8") == view.to_html()


def test_static_is_a_sandboxed_frame() -> None:
    static = EngagementView(traces.hostile()).static()
    assert static._repr_html_().startswith('<iframe srcdoc="&lt;!DOCTYPE html&gt;')
    assert 'sandbox="allow-scripts"' in str(static)
    assert "<script" not in str(static)


def test_costs_by_a_price_sheet_colour_the_graph_and_stay_in_the_file() -> None:
    run = traces.house()
    priced = {step.id for step in run.steps if any(event.kind is EventKind.LLM_CALL for event in step.events)}
    view = EngagementView(run, costs=step_costs({"house-1": (1.0, 2.0)}))
    assert view.payload is not None
    assert {step["id"] for step in view.payload["steps"] if step["cost"]} == priced != set()
    asked = next(event for event in run.steps[0].events if event.kind is EventKind.LLM_CALL).tokens
    assert asked is not None
    assert view.payload["steps"][0]["cost"] == pytest.approx((asked.prompt + 2 * asked.completion) / 1e6)
    assert sum(node["cost"] or 0 for node in view.payload["nodes"]) > 0
    unknown = EngagementView(run, costs=step_costs({"another": (1.0, 2.0)}))
    assert unknown.payload is not None
    assert all(step["cost"] is None for step in unknown.payload["steps"])
    view.close()
    unknown.close()
