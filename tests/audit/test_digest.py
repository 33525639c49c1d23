"""Digests of whole engagements: any change shows, a round trip does not, and the scheme is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from ftnb.audit import engagement_digest, verify
from ftnb.core.errors import InvalidArgumentError
from ftnb.core.model import Annotation, Engagement, EventKind, Step, StepEvent, TokenUsage
from ftnb.store.sqlite import SQLiteStore
from ftnb.testing._case import record_run

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def engagement() -> Engagement:
    said = StepEvent(
        id="v1", step_id="s1", kind=EventKind.LLM_CALL, name="gpt", ts=T0, duration_ms=12.5, tokens=TokenUsage(prompt=3)
    )
    step = Step(id="s1", engagement_id="e1", name="greet", started_at=T0, events=[said])
    return Engagement(id="e1", name="house_search", started_at=T0, metadata={"user_id": "u1", 2: {1, 2}}, steps=[step])


def test_it_is_the_same_in_every_version_of_ftnb() -> None:
    # A digest that somebody keeps must be found again: this value may change with the scheme's name only.
    assert engagement_digest(engagement()) == "ftnb1:637e5d92e9ab5b0766227401edfcb68e73009d968ede23bbc23dc260138445a0"


CHANGES: list[Callable[[Engagement], object]] = [
    lambda e: setattr(e.steps[0], "name", "greeted"),
    lambda e: setattr(e.steps[0].events[0], "duration_ms", 12.6),
    lambda e: setattr(e.steps[0].events[0], "ts", T0 + timedelta(microseconds=1)),
    lambda e: setattr(e.steps[0].events[0].tokens, "prompt", 4),
    lambda e: e.metadata.update(injected="x"),
    lambda e: e.metadata.pop(2),
    lambda e: e.steps.append(e.steps[0]),
    lambda e: e.steps.clear(),
    lambda e: setattr(e, "dropped_at", "greet"),
    lambda e: e.annotations.append(Annotation(label="correct", ts=T0)),
]


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_shows(change: Callable[[Engagement], object]) -> None:
    changed = engagement()
    digest = engagement_digest(changed)
    assert verify(changed, digest)
    change(changed)
    assert not verify(changed, digest)


def test_reading_again_changes_nothing(tmp_path: object) -> None:
    store = SQLiteStore(f"{tmp_path}/t.db")
    found = store.get_engagement(record_run(store, 2))
    digest = engagement_digest(found)
    store.close()
    again = SQLiteStore(f"{tmp_path}/t.db").get_engagement(found.id)
    assert verify(again, digest)
    assert verify(Engagement.model_validate_json(again.model_dump_json()), digest)


@pytest.mark.parametrize("digest", ["", "abc", "ftnb1:12", "ftnb9:" + "0" * 64, "sha256:" + "0" * 64])
def test_what_is_no_digest_is_told(digest: str) -> None:
    with pytest.raises(InvalidArgumentError, match="digest"):
        verify(engagement(), digest)
