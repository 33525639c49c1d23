"""What long reading shows while somebody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from ftnb.core import _progress
from ftnb.core._progress import reading


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a terminal gets."""
    written: list[str] = []
    monkeypatch.setattr(_progress.sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(_progress.sys.stderr, "write", written.append)
    return written


def clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """A clock that goes on by so much whenever it is looked at."""
    now = iter(range(10_000))
    monkeypatch.setattr(_progress.time, "monotonic", lambda: next(now) * seconds)


def test_long_reading_says_how_far_it_is_until_it_is_through(shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock(monkeypatch, 2.0)
    assert list(reading("abcd", 4, "traces.db")) == list("abcd")
    assert [text.strip("\r") for text in shown[:3]] == [f"reading traces.db: {n}%" for n in (25, 50, 75)]
    assert shown[-1].endswith("\x1b[K")


def test_quick_reading_shows_nothing(shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock(monkeypatch, 0.01)
    assert list(reading("abcd", 4, "traces.db")) == list("abcd")
    assert shown == []


def test_reading_that_is_interrupted_leaves_nothing_behind(shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def pieces() -> Iterator[int]:
        yield from (1, 2)
        raise KeyboardInterrupt

    clock(monkeypatch, 2.0)
    with pytest.raises(KeyboardInterrupt):
        list(reading(pieces(), 4, "traces.db"))
    assert shown[-1].endswith("\x1b[K")


def test_a_thread_of_ours_shows_nothing(shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock(monkeypatch, 2.0)
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(reading("abcd", 4, "traces.db")))
    thread.start()
    thread.join()
    assert (found, shown) == (list("abcd"), [])
