from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ftnb
from ftnb._handles import EngagementHandle
from ftnb.core.model import EngagementStatus, EventKind
from ftnb.live.follow import follow_run
from ftnb.live.monitor import Monitor
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from ftnb.widget.news import News
from ftnb.widget.view import EngagementView


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    opened = SQLiteStore(tmp_path / "t.db")
    yield opened
    opened.close()


@pytest.fixture
def recorder(store: SQLiteStore) -> Iterator[Recorder]:
    recorder = Recorder(store)
    yield recorder
    recorder.close()


def wait(is_true: Callable[[], Any], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


def _step(recorder: Recorder, engagement: str, name: str = "a", *, error: str | None = None, tokens: int = 10) -> str:
    step = recorder.start_step(engagement, name, state={"n": 1})
    recorder.record_llm_call(step, "model", prompt=tokens)
    if error:
        recorder.record_event(step, EventKind.TOOL_CALL, "tool", error=error)
    recorder.end_step(step, update={"n": 2})
    return step


def test_a_run_is_told_as_it_goes_on_and_its_end_once(store: SQLiteStore, recorder: Recorder) -> None:
    engagement = recorder.start_engagement("run")
    news: list[News] = []
    stop = follow_run(store, engagement, news.append)
    wait(lambda: news)
    for _ in range(5):
        _step(recorder, engagement)
    wait(lambda: len(news[-1].engagement.steps) == 5)
    assert news[-1].following is not None
    recorder.end_engagement(engagement)
    wait(lambda: news[-1].following is None)
    final = store.get_engagement(engagement)
    assert news[-1].engagement == final
    time.sleep(0.2)
    assert [one.following for one in news].count(None) == 1
    stop()


def test_a_pause_is_no_end(store: SQLiteStore, recorder: Recorder) -> None:
    engagement = recorder.start_engagement("run")
    news: list[News] = []
    stop = follow_run(store, engagement, news.append)
    _step(recorder, engagement)
    recorder.set_engagement_status(engagement, EngagementStatus.PAUSED)
    wait(lambda: news and news[-1].engagement.status == "paused")
    assert news[-1].following is not None
    recorder.set_engagement_status(engagement, EngagementStatus.ACTIVE)
    _step(recorder, engagement, "b")
    wait(lambda: len(news[-1].engagement.steps) == 2)
    stop()


def test_records_of_another_store_object_are_followed(store: SQLiteStore, recorder: Recorder) -> None:
    engagement = recorder.start_engagement("run")
    recorder.flush()
    other = SQLiteStore(store.path)
    news: list[News] = []
    stop = follow_run(other, engagement, news.append)
    wait(lambda: news)
    _step(recorder, engagement)
    recorder.end_engagement(engagement)
    wait(lambda: news[-1].following is None)
    assert len(news[-1].engagement.steps) == 1
    stop()
    other.close()


class _Sent(EngagementView):
    def __init__(self, *given: Any, **more: Any) -> None:
        self.sent: list[Any] = []
        super().__init__(*given, **more)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sent.append(content)


def test_a_view_sends_what_changed_and_ends_with_the_whole(store: SQLiteStore, recorder: Recorder) -> None:
    engagement = recorder.start_engagement("run")
    recorder.flush()
    handle = EngagementHandle(store, engagement)
    view = _Sent(handle.model, resolve=handle.resolve, follow=lambda tell: follow_run(store, engagement, tell))
    assert view.is_followed
    for _ in range(20):
        _step(recorder, engagement)
    wait(lambda: view.payload and len(view.payload["steps"]) == 20)
    assert {message["op"] for message in view.sent} == {"patch"}
    numbers = [message["patch"] for message in view.sent]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    recorder.end_engagement(engagement)
    wait(lambda: not view.is_followed)
    assert view.payload == EngagementView(store.get_engagement(engagement), resolve=handle.resolve).payload | {
        "seq": view.payload["seq"]  # type: ignore[index]
    }
    assert view._payload == {"version": 1}
    view.close()


def test_a_judgement_in_the_view_is_on_record(store: SQLiteStore, recorder: Recorder) -> None:
    engagement = recorder.start_engagement("run")
    step = _step(recorder, engagement)
    recorder.end_engagement(engagement)
    handle = EngagementHandle(store, engagement)
    view = _Sent(handle.model, resolve=handle.resolve, annotate=handle.annotate)
    view._handle_custom_msg({"op": "annotate", "step": step, "label": "correct", "value": False, "seq": 4}, [])
    assert [(one.label, one.value, one.step_id) for one in handle.annotations] == [("correct", False, step)]
    assert view.payload
    assert view.payload["annotations"][0]["step"] == 0
    assert [message["op"] for message in view.sent] == ["patch", "answer"]
    view._handle_custom_msg({"op": "annotate", "step": "nope", "label": "x", "value": 1, "seq": 5}, [])
    assert "no step 'nope'" in view.sent[-1]["error"]


def test_a_monitor_counts_what_runs_waits_and_ended(store: SQLiteStore, recorder: Recorder) -> None:
    before = recorder.start_engagement("before")
    _step(recorder, before)
    monitor = ftnb.monitor(store)
    waiting, ended = recorder.start_engagement("waiting"), recorder.start_engagement("ended")
    _step(recorder, before, error="boom")
    _step(recorder, waiting)
    _step(recorder, ended, tokens=500)
    recorder.set_engagement_status(waiting, EngagementStatus.PAUSED)
    recorder.end_engagement(ended)

    def rows() -> dict[str, tuple[Any, ...]]:
        return {
            row["name"]: (row["status"], row["steps"], row["tokens"], row["errors"])
            for row in monitor.view._rows["rows"]
        }

    expected = {"before": ("active", 2, 20, 1), "waiting": ("paused", 1, 10, 0), "ended": ("completed", 1, 500, 0)}
    wait(lambda: rows() == expected)
    assert [row["name"] for row in monitor.view._rows["rows"]] == ["before", "waiting", "ended"]
    opened = monitor.open(ended)
    assert opened is not None
    assert opened.engagement.name == "ended"
    assert "<script" not in monitor.view._repr_mimebundle_()[0]["text/html"]
    monitor.close()


def test_alerts_come_true_once_and_call_back(store: SQLiteStore, recorder: Recorder) -> None:
    monitor = Monitor(ftnb.monitor(store)._watch)
    told: list[Any] = []
    many = ftnb.alert("tokens > 25", do=told.append, source=store)
    again = ftnb.alert("step.name == 'a' and step.visit > 1", name="a again", source=store)
    failed = ftnb.alert("event.failed", do=lambda _: 1 / 0, source=store)
    assert ftnb.alerts() == [many, again, failed]
    one, two = recorder.start_engagement("one"), recorder.start_engagement("two")
    for _ in range(4):
        step = _step(recorder, one, error="boom")
    _step(recorder, two)
    wait(lambda: len(failed.fired) == 4 and len(again.fired) == 3 and told)
    assert [alarm.engagement_id for alarm in many.fired] == [one]
    assert (told[0].engagement_name, told[0].values["tokens"] > 25) == ("one", True)
    assert again.fired[-1].step_id == step
    assert "ZeroDivisionError" in (failed.last_error or "")
    monitor.draw()
    assert [row["n"] for row in monitor.view._rows["alerts"]] == [1, 3, 4]
    monitor.view._take(None, {"op": "remove_alert", "key": 0}, [])
    assert not many.is_active
    assert ftnb.alerts() == [again, failed]
    _step(recorder, two, tokens=500)
    time.sleep(0.3)
    assert len(many.fired) == 1
    for alert in (again, failed):
        alert.remove()
    monitor.close()


def test_nothing_recorded_and_a_condition_that_makes_no_sense_are_told(store: SQLiteStore) -> None:
    with pytest.raises(ftnb.FtnbError, match="nothing is recorded"):
        ftnb.monitor()
    with pytest.raises(ftnb.FtnbError, match="nothing is recorded"):
        ftnb.alert("tokens > 1")
    with pytest.raises(ftnb.InvalidArgumentError, match="do= is a function"):
        ftnb.alert("tokens > 1", do=3, source=store)  # type: ignore[arg-type]
