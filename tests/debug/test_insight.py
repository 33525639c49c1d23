"""What a view is told: why a step ran, what it changed, its code, and the family of a run."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

import ftnb
from ftnb.core.errors import InvalidArgumentError
from ftnb.core.ids import new_id
from ftnb.store.sqlite import SQLiteStore
from ftnb.traces import EngagementHandle
from ftnb.widget.view import EngagementView
from tests.debug import graphs

HI = {"messages": [("user", "weather in Oslo?")]}


@pytest.fixture
def run(store: SQLiteStore) -> EngagementHandle:
    graphs.agent().invoke(HI)
    return ftnb.last()


def answer(view: EngagementView, **asked: Any) -> dict[str, Any]:
    """What the view sends when the browser asks."""
    sent: list[dict[str, Any]] = []
    view.send = lambda content, buffers=None: sent.append(content)  # type: ignore[method-assign]
    view._answers.take(view, {"seq": 1, **asked}, [])
    return next(one for one in reversed(sent) if one.get("op") == "answer")


def test_why_names_the_causes_as_steps_that_can_be_chosen(run: EngagementHandle) -> None:
    view, step = run.widget(), run.steps[-1]
    found = answer(view, op="inspect", step=step.id, what="why")["value"]
    assert [one["cause_id"] for one in found["causes"]] == step.triggers
    assert found["title"] == step.why().title
    assert [one["text"] for one in found["causes"]] == [one.text for one in step.why().causes]
    assert all(one["depth"] > 0 for one in found["before"])
    assert found["before"]
    json.dumps(found)


def test_changes_are_those_of_the_state_and_not_of_the_update(run: EngagementHandle) -> None:
    view, step = run.widget(), run.step("think")
    found = answer(view, op="inspect", step=step.id, what="changes")["value"]
    assert [(one["op"], one["path"]) for one in found["changes"]] == [
        (op["op"], op["path"]) for op in step.diff().patch
    ]
    # The node returned one message; the reducer put it behind the others.
    assert found["changes"][0]["op"] == "add"
    assert re.fullmatch(r"/messages/[1-9]\d*", found["changes"][0]["path"])


def test_source_is_that_of_the_node_and_its_routers(run: EngagementHandle) -> None:
    view, step = run.widget(), run.step("think")
    found = answer(view, op="inspect", step=step.id, what="source")["value"]
    assert (found["text"], found["sha256"], found["changed"]) == (step.source.text, step.source.sha256, False)
    assert [one["qualname"] for one in found["routers"]] == [one.qualname for one in step.source.routers]


def test_what_cannot_be_told_is_said(run: EngagementHandle) -> None:
    view = run.widget()
    for asked in ({"step": run.steps[0].id, "what": "secrets"}, {"step": "nowhere", "what": "why"}, {}):
        said = answer(view, op="inspect", **asked)
        assert said["value"] is None, asked
        assert said["error"], asked
    bare = EngagementView(run.model)
    assert "store" in answer(bare, op="inspect", step=run.steps[0].id, what="why")["error"]
    assert bare._can == []
    assert "inspect" in view._can


def test_a_saved_page_carries_why_and_diff_but_no_code(run: EngagementHandle, tmp_path: Path) -> None:
    page = Path(run.widget().to_html(tmp_path / "run.html")).read_text()
    data = re.search(r'<script type="application/json" id="ftnb-payload-0">(.*?)</script>', page)
    assert data is not None
    rest = zlib.decompress(base64.b64decode(json.loads(data[1])["rest"]), wbits=-zlib.MAX_WBITS)
    saved = json.loads(rest)["saved"]
    assert {(one["step"], one["what"]) for one in saved["insights"]} == {
        (step.id, what) for step in run.steps for what in ("why", "changes")
    }
    assert all(one["value"] is not None for one in saved["insights"])


def test_the_family_of_a_run(run: EngagementHandle) -> None:
    assert run.family().height == 1
    assert run.widget().relatives() == []
    fork = run.fork(at=run.steps[0])
    replay = fork.steps[1].replay().branch
    for member in (run, fork, replay):
        frame = member.family()
        assert frame["engagement_id"].to_list() == [run.id, fork.id, replay.id]
        assert frame["kind"].to_list() == ["run", "fork", "replay"]
        assert frame["depth"].to_list() == [0, 1, 2]
        assert frame["parent_id"].to_list() == [None, run.id, fork.id]
        assert frame.filter("is_self")["engagement_id"].to_list() == [member.id]
    assert frame["at"].to_list()[1] == run.steps[0].name


def test_a_view_switches_between_branches(run: EngagementHandle) -> None:
    fork = run.fork(at=run.steps[0])
    view = run.widget()
    view.select(run.steps[0].id)
    said = answer(view, op="family", show=None)["value"]
    assert [one["id"] for one in said] == [run.id, fork.id]
    assert answer(view, op="family", show=fork.id)["error"] is None
    assert view.engagement.id == fork.id
    assert view.payload is not None
    assert view.payload["engagement"]["id"] == fork.id
    assert view.selection == ()
    # What is asked now is asked of the branch.
    last = fork.steps[-1]
    assert answer(view, op="inspect", step=last.id, what="why")["value"]["title"] == last.why().title
    view.show_relative(run.id)
    assert view.engagement.id == run.id
    with pytest.raises(InvalidArgumentError, match="family"):
        view.show_relative(new_id())
