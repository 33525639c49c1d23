from __future__ import annotations

from pathlib import Path

import pytest

from ftnb.widget.compare import comparison_payload
from ftnb.widget.many import ManyView
from ftnb.widget.payload import engagement_payload
from tests.widget import golden, traces


def test_a_comparison_is_a_widget_a_file_and_a_table(tmp_path: Path) -> None:
    payload = comparison_payload(engagement_payload(traces.house()), engagement_payload(traces.house(fail=True)))
    view = ManyView(payload)
    data = view._repr_mimebundle_()[0]
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "<td>present</td><td>completed, 420 ms</td><td>failed, 310 ms</td>" in data["text/html"]
    assert "<script" not in data["text/html"]
    assert repr(view) == "<ManyView A and B>"
    path = view.to_html(tmp_path / "both.html")
    assert '"kind":"comparison"' in Path(path).read_text(encoding="utf-8")
    view.close()


def test_a_process_map_is_one_too() -> None:
    view = ManyView(golden.process_map())
    data = view._repr_mimebundle_()[0]
    assert data["text/plain"] == "house_search: 10 v1, 20 v2"
    assert "<tr><td>greet</td><td>search</td><td>10</td><td>10</td></tr>" in data["text/html"]
    assert isinstance(view.to_html(), str)
    view.close()


def test_text_of_a_trace_is_escaped() -> None:
    run = engagement_payload(traces.hostile())
    view = ManyView(comparison_payload(run, engagement_payload(traces.empty()), names=(traces.HOSTILE, "b")))
    assert "<img" not in view._repr_mimebundle_()[0]["text/html"]
    view.close()


@pytest.mark.parametrize("what", [[], ["output"]])
def test_the_alignment_of_a_diff_fits(what: list[str]) -> None:
    run = engagement_payload(traces.house())
    entries = [{"a": 0, "b": 0, "side": "both", "what": what}, {"a": None, "b": 1, "side": "b", "what": []}]
    first, second = comparison_payload(run, run, alignment=entries)["alignment"][:2]
    assert (first["kind"], first["note"]) == (("changed", "output") if what else ("same", ""))
    assert second["kind"] == "only_b"
