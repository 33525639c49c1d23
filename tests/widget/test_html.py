from __future__ import annotations

import base64
import json
import re
import zlib
from html import unescape
from pathlib import Path

import pytest

from ftnb.core.errors import FtnbError
from ftnb.widget import html
from ftnb.widget.html import Heading, TrustedHtml, engagement_page, read_bundle, script_json, write_page
from ftnb.widget.payload import engagement_payload
from tests.widget import traces


def test_the_page_is_one_file_that_asks_for_nothing() -> None:
    page = engagement_page(engagement_payload(traces.house()))
    assert "default-src 'none'" in unescape(page)
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    assert len(page) < 800_000


def test_data_cannot_end_its_script_element() -> None:
    page = engagement_page(engagement_payload(traces.hostile()))
    assert "<script>window.__pwned" not in page
    (data,) = re.findall(r'<script type="application/json" id="[^"]+">(.*?)</script>', page, re.DOTALL)
    whole = json.loads(data)
    rest = zlib.decompress(base64.b64decode(whole.pop("rest")), wbits=-zlib.MAX_WBITS)
    assert len(rest) == whole.pop("n_rest")
    assert {**whole, **json.loads(rest)} == engagement_payload(traces.hostile())
    assert "<title>&lt;script&gt;" in page


def test_json_in_a_script_survives_unusual_text() -> None:
    value = {"a": "</script><!--", "b": "\u2028&amp;", "c": "ü"}
    text = script_json(value)
    assert json.loads(text) == value
    assert "<" not in text
    assert text.isascii()


def test_a_page_of_several_parts_carries_the_bundle_once(tmp_path: Path) -> None:
    run = engagement_payload(traces.house())
    failed = engagement_payload(traces.house(fail=True))
    parts = [Heading("A & B"), run, "Plain <b>text</b>.", TrustedHtml("<svg id='funnel'></svg>"), failed]
    path = write_page(tmp_path / "report.html", "Report", parts)
    page = path.read_text(encoding="utf-8")
    assert page.count("data-ftnb-payload=") == 2 + read_bundle().count("data-ftnb-payload=")
    assert page.count('<script type="module">') == 1
    assert "<h2>A &amp; B</h2>" in page
    assert "Plain &lt;b&gt;text&lt;/b&gt;." in page
    assert "<svg id='funnel'></svg>" in page


def test_a_missing_bundle_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(html, "BUNDLE", tmp_path / "static" / "runtime.js")
    with pytest.raises(FtnbError, match=r"bundle is missing.*pip install -e"):
        read_bundle()


def test_the_bundle_builds_no_markup_and_runs_no_strings() -> None:
    found = re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", read_bundle())
    assert found == []
    assert "</script" not in read_bundle()
