"""What a policy lets go and what it keeps, whatever happens between plan and purge; and what is left afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import ftnb
from ftnb.core.errors import InvalidArgumentError, UnknownEngagementError
from ftnb.core.model import EngagementStatus
from ftnb.recorder import Recorder
from ftnb.retention import RetentionPolicy, RetentionWarning, Window, purge_before
from ftnb.store import build
from ftnb.store.draft import Stream
from ftnb.store.memory import MemoryStore
from ftnb.store.sqlite import SQLiteStore

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = 86_400_000_000


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return SQLiteStore(str(tmp_path / "t.db")) if request.param == "sqlite" else MemoryStore()


def add(store: Any, key: str, days: float, status: str | None = "completed", turns: int = 1, **metadata: Any) -> None:
    """An engagement whose last record is so many days old; status None: it goes on."""
    for turn in range(1, turns + 1):
        at = int(NOW.timestamp() * 1e6 - (days + turns - turn) * DAY)
        stream = Stream(f"{key}-{turn}", key, turn=turn)
        drafts = [build.engagement_started(stream, at, "chat", metadata=metadata)] if turn == 1 else []
        drafts.append(build.step_started(stream, at, f"{key}-s{turn}", "ask", state={"said": f"{key}{turn} " * 200}))
        if turn < turns or status == "paused":
            drafts.append(build.engagement_status(stream, at, EngagementStatus.PAUSED))
        elif status is not None:
            drafts.append(build.engagement_ended(stream, at, EngagementStatus(status)))
        store.append_drafts(drafts)


def actions(plan: Any) -> dict[str, str]:
    return dict(plan.frame().select("engagement_id", "action").iter_rows())


def test_windows_by_age_status_and_metadata(store: Any) -> None:
    add(store, "old", 100)
    add(store, "new", 3)
    add(store, "failed", 20, "failed")
    add(store, "trial", 9, tier="trial")
    add(store, "paused", 400, "paused")
    add(store, "active", 400, None)
    windows = [Window("7d", where={"tier": "trial"}), Window("14d", status="failed")]
    policy = ftnb.open(store).retention("90d", windows=windows)
    plan = policy.plan(now=NOW)
    assert actions(plan) == {
        "old": "purge", "new": "keep", "failed": "purge", "trial": "purge", "paused": "keep", "active": "keep"
    }  # fmt: skip
    why = dict(plan.frame().select("engagement_id", "why").iter_rows())
    assert (why["failed"], why["paused"]) == ("older than max_age=14d status=failed", "it is paused")
    assert len(store.list_engagements()) == 6, "a plan changes nothing"
    receipts = policy.apply(plan, progress=False)
    assert sorted(receipts.ids) == ["failed", "old", "trial"]
    assert sorted(one.id for one in store.list_engagements()) == ["active", "new", "paused"]
    report = ftnb.open(store).audit.verify()
    assert (report.ok, report.counts()["purged"]) == (True, 3)
    assert "max_age=90d" in store.store_entries("purge")[0]["policy"]


def test_a_hold_outranks_every_window_until_it_is_released(store: Any) -> None:
    for key in ("a", "b", "c"):
        add(store, key, 100, case="7" if key == "a" else None)
    policy = ftnb.open(store).retention("90d")
    by_query = policy.hold(where={"case": "7"}, reason="litigation", by="legal")
    by_id = policy.hold("b", reason="incident")
    assert actions(policy.plan(now=NOW)) == {"a": "keep", "b": "keep", "c": "purge"}
    assert policy.plan(now=NOW).frame()["why"][0] == "held: litigation"
    policy.release(by_id)
    assert policy.holds()["engagement_ids"].to_list() == [["a"]]
    assert sorted(policy.apply(now=NOW, progress=False).ids) == ["b", "c"]
    assert purge_before(store, NOW) == [], "the simplest way heeds holds too"
    policy.release(by_query)
    assert purge_before(store, NOW) == ["a"]


AFTER_THE_PLAN: dict[str, Callable[[Any], object]] = {
    "a record came": lambda store: ftnb.open(store).engagement("old-one").annotate("ok"),
    "it was reopened": lambda store: store.append_drafts(
        [build.engagement_status(Stream("late", "old-one"), 0, EngagementStatus.ACTIVE)]
    ),
    "it was held": lambda store: ftnb.open(store).retention().hold("old-one", reason="just now"),
    "it was purged": lambda store: store.purge("old-one"),
}


@pytest.mark.parametrize("what", AFTER_THE_PLAN)
def test_what_happens_between_plan_and_purge_decides(store: Any, what: str) -> None:
    add(store, "old-one", 100)
    add(store, "other", 100)
    policy = ftnb.open(store).retention("90d")
    plan = policy.plan(now=NOW)
    AFTER_THE_PLAN[what](store)
    receipts = policy.apply(plan, progress=False)
    assert receipts.ids == ["other"]
    assert dict(receipts.frame().select("engagement_id", "done").iter_rows())["old-one"] == "kept"


def test_a_hold_that_comes_while_others_are_purged_is_heeded(store: Any) -> None:
    for key in ("one", "two", "three"):
        add(store, key, 100)
    policy = ftnb.open(store).retention("90d")
    plan = policy.plan(now=NOW)
    purge, asked = store._purge, list[str]()

    def held_meanwhile(key: str, *rest: Any) -> Any:
        if not asked:
            asked.append(key)
            done = purge(key, *rest)
            policy.hold("three", reason="just now")
            return done
        return purge(key, *rest)

    store._purge = held_meanwhile
    store._purge_many = lambda whys, unless: type(store).__mro__[1]._purge_many(store, whys, unless)
    assert policy.apply(plan, progress=False).ids == ["one", "two"]
    assert ftnb.open(store).audit.verify().counts() == {"purged": 2, "sealed": 1}


def test_many_purges_go_with_a_receipt_each(store: Any) -> None:
    for i in range(130):
        add(store, f"e{i}", 100 if i % 3 else 5)
    receipts = ftnb.open(store).retention("90d").apply(now=NOW, progress=False)
    assert len(receipts.ids) == len(store.store_entries("purge")) == 86
    assert {len(entry["streams"]) for entry in store.store_entries("purge")} == {1}
    assert ftnb.open(store).audit.verify().counts() == {"purged": 86, "sealed": 44}


def test_content_goes_and_statistics_stay(tmp_path: Path) -> None:
    store = SQLiteStore(str(tmp_path / "t.db"))
    add(store, "old", 100, user="ada@example.org")
    before = ftnb.open(store).steps()
    receipts = ftnb.open(store).retention("90d", content_only=True).apply(now=NOW, progress=False)
    assert receipts.frame()["done"].to_list() == ["redacted"]
    assert ftnb.open(store).steps().equals(before)
    report = ftnb.open(store).audit.verify()
    assert (report.ok, report.counts()) == (True, {"redacted": 1})
    store.close()
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert b"ada@" not in content, path.name
        assert b"old1 old1" not in content, path.name


def test_a_thread_that_never_ends_is_trimmed_by_whole_turns(store: Any) -> None:
    add(store, "thread", 1, "paused", turns=5, user="u")
    policy = ftnb.open(store).retention(keep_turns=2)
    assert actions(policy.plan(now=NOW)) == {"thread": "trim"}
    policy.apply(now=NOW, progress=False)
    eng = ftnb.open(store).last()
    assert eng.metadata == {"user": "u"}
    steps = eng.model.steps
    assert [eng.resolve(s.state_ref) == {"said": f"thread{s.turn} " * 200} for s in steps] == [False] * 3 + [True] * 2
    assert ftnb.open(store).audit.verify().ok
    assert policy.apply(now=NOW, progress=False).frame()["n"].to_list() == [0], "nothing is left to trim"


def test_the_seeds_calls(store: Any) -> None:
    add(store, "old", 21)
    add(store, "recent", 1)
    add(store, "paused", 90, "paused")
    assert RetentionPolicy(max_age=timedelta(days=14)).apply(store, now=NOW) == ["old"]
    assert [one.id for one in store.list_engagements()] == ["recent", "paused"]
    assert purge_before(store, NOW - timedelta(days=5)) == []


def test_a_clock_that_was_set_back_purges_nothing(store: Any) -> None:
    recorder = Recorder(store)
    recorder.end_engagement(recorder.start_engagement("now"))
    recorder.flush()
    policy = ftnb.open(store).retention("1d")
    assert policy.plan().n == {"keep": 1}
    add(store, "later", -(datetime.now(UTC) - NOW).days - 2)  # its record is of the day after tomorrow
    with pytest.raises(InvalidArgumentError, match="set back"):
        policy.plan()
    assert policy.plan(now=datetime.now(UTC)).n == {"keep": 2}


def test_a_store_that_rests_is_purged_only_by_a_moment_that_is_given(store: Any) -> None:
    add(store, "old", 100 - (datetime.now(UTC) - NOW).days)
    policy = ftnb.open(store).retention("90d")
    with pytest.raises(InvalidArgumentError, match="now="):
        policy.apply(progress=False)
    assert policy.apply(now=datetime.now(UTC), progress=False).ids == ["old"]


def test_a_window_that_a_regulation_forbids_warns(store: Any) -> None:
    with pytest.warns(RetentionWarning, match="183 days"):
        ftnb.open(store).retention("90d", regulation="eu-ai-act")
    with pytest.warns(RetentionWarning, match=r"keep_turns=2 .* younger than the 183 days"):
        ftnb.open(store).retention(keep_turns=2, regulation="eu-ai-act")
    ftnb.open(store).retention("184d", regulation="eu-ai-act")


BAD: list[Callable[[Any], object]] = [
    lambda tr: tr.retention("-1d"),
    lambda tr: tr.retention("soon"),
    lambda tr: tr.retention(windows=[Window("1d", status="active")]),
    lambda tr: tr.retention(keep_turns=0),
    lambda tr: tr.retention("1d", regulation="gpdr"),
    lambda tr: tr.retention("1d").plan(now=datetime(2026, 1, 1)),  # noqa: DTZ001
    lambda tr: tr.retention().hold(reason="why"),
    lambda tr: tr.retention().hold("x", where={}, reason="why"),
    lambda tr: tr.retention().hold("old", reason=""),
    lambda tr: tr.retention().release("none"),
]


@pytest.mark.parametrize("call", BAD)
def test_bad_input_is_told(store: Any, call: Callable[[Any], object]) -> None:
    add(store, "old", 100)
    with pytest.raises(InvalidArgumentError):
        call(ftnb.open(store))
    assert len(store.list_engagements()) == 1


def test_what_is_not_there_cannot_be_held(store: Any) -> None:
    with pytest.raises(UnknownEngagementError):
        ftnb.open(store).retention().hold("nobody", reason="why")
    with pytest.raises(UnknownEngagementError):
        ftnb.open(store).retention().hold(where={"a": 1}, reason="why")
