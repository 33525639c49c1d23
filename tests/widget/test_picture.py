from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from ftnb.widget.payload import engagement_payload
from ftnb.widget.picture import MAX_BYTES, static_html, summary_line
from ftnb.widget.svg import duration_text
from tests.widget import traces


class _Outline(HTMLParser):
    """Collects tags and attributes, as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", list(traces.ALL))
def test_it_is_small_and_needs_nothing_from_elsewhere(name: str) -> None:
    html = static_html(engagement_payload(traces.ALL[name]()))
    assert len(html.encode()) < MAX_BYTES
    outline = _Outline(html)
    assert not {"script", "img", "link", "iframe", "style", "image", "use"} & set(outline.tags)
    assert not [name for name, _ in outline.attributes if name.startswith("on") or name in ("href", "src")]
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", html) == []


def test_hostile_names_are_text() -> None:
    outline = _Outline(static_html(engagement_payload(traces.hostile())))
    assert "<script>window.__pwned = 1</script>" in outline.text
    assert "__proto__" in outline.text


def test_long_runs_say_what_was_left_out() -> None:
    html = static_html(engagement_payload(traces.long(1_000)))
    assert len(html.encode()) < MAX_BYTES
    left_out = re.search(r"(\d+) steps are left out", html)
    assert left_out is not None
    assert int(left_out[1]) + html.count("<tr><td>") == 1_000


def test_a_wide_topology_says_that_the_graph_is_left_out() -> None:
    engagement = traces.house()
    nodes = engagement.topology.nodes
    extra = [nodes[0].model_copy(update={"name": f"extra{i}"}) for i in range(80)]
    engagement.topology = engagement.topology.model_copy(update={"nodes": [*nodes, *extra]})
    assert "graph of 91 nodes is left out" in static_html(engagement_payload(engagement))


def test_the_summary_tells_the_outcome() -> None:
    assert summary_line(engagement_payload(traces.house(fail=True))) == (
        "house_search: failed, 3.04 s, 10 steps, 1,488 tokens, 1 with errors"
    )
    assert summary_line(engagement_payload(traces.nested())).endswith("3 records missing")


def test_the_summary_counts_in_words_and_leaves_out_what_there_is_none_of() -> None:
    engagement = traces.house()
    engagement.steps = engagement.steps[:1]
    engagement.steps[0].events = []
    assert " 1 step" in summary_line(engagement_payload(engagement))
    assert "tokens" not in summary_line(engagement_payload(engagement))


def test_visits_stand_on_a_badge_of_their_own_as_a_label_fills_its_node() -> None:
    html = static_html(engagement_payload(traces.house()))
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", html)
    assert "✓ rank" in texts
    assert texts[texts.index("✓ rank") + 1] == "×3"


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (0.04, "0 ms"),
        (0.42, "0.4 ms"),
        (320, "320 ms"),
        (1_240, "1.24 s"),
        (125_000, "2 min 5 s"),
        (3_780_000, "1 h 3 min"),
    ],
)
def test_durations(ms: float, text: str) -> None:
    assert duration_text(ms) == text
