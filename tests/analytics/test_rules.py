"""Rules: read from words, and held against engagements as a plain walk over their steps does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftnb.analytics import EndsWith, FollowedBy, NeverAfter, OnlyAfter, StartsWith, Times, Within, conformance, rule
from ftnb.core.errors import InvalidArgumentError

from ._journeys import OPEN, Case, Step, Visit, cases, frames_of, starts_of, visits_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pay only after consent", OnlyAfter("pay", "consent")),
        ("pay ONLY right AFTER consent or waiver", OnlyAfter("pay", ["consent", "waiver"], directly=True)),
        ("submit never after abandon", NeverAfter("submit", "abandon")),
        ("submit never right after abandon", NeverAfter("submit", "abandon", directly=True)),
        ("at most 3 refine", Times("refine", at_most=3)),
        ("at least 2 'ask user'", Times("ask user", at_least=2)),
        ("at least 1 and at most 3 a", Times("a", at_least=1, at_most=3)),
        ("exactly 1 a or b", Times(["a", "b"], at_least=1, at_most=1)),
        ("never escalate", Times("escalate", at_most=0)),
        ("always greet", Times("greet", at_least=1)),
        ("starts with greet", StartsWith("greet")),
        ('ends with "the end" or x', EndsWith(["the end", "x"])),
        ("search within 5m of intake", Within("search", "5m", of="intake")),
        ("search within 1h 30m of intake", Within("search", "1h30m", of="intake")),
        ("refund followed by notify", FollowedBy("refund", "notify")),
        ("refund followed by notify within 2h", FollowedBy("refund", "notify", within="2h")),
        ("'never' only after 'after'", OnlyAfter("never", "after")),
    ],
)
def test_rules_in_words(text: str, expected: Any) -> None:
    assert rule(text) == expected
    # What it says of itself reads as itself.
    assert rule(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a rule is words"),
        (3, "a rule is words"),
        ("pay", "it says nothing about the step"),
        ("pay onyl after consent", "'onyl' does not go on a rule; did you mean 'only'"),
        ("pay only after", "the name of a step is missing at its end"),
        ("at most three refine", "a number should come where 'three' is"),
        ("at most 3 refine twice", "'twice' is one word too many"),
        ("pay only after never", "'never' is a word of rules; put it in quotes"),
        ("search within of intake", "is a length of time"),
        ("search within 5m intake", "is a length of time"),
        ("at least 0 a", "asks for nothing"),
        ("a only after 'b", "a quote is not closed"),
        ("a only after ''", "empty name"),
        ("__import__('os').system('x')", "does not go on a rule"),
    ],
)
def test_words_that_are_no_rule(text: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        rule(text)


def test_objects_that_are_no_rule() -> None:
    for make, message in (
        (lambda: Times("a"), "needs at_least, at_most or both"),
        (lambda: Times("a", at_least=3, at_most=2), "no number is at least 3 and at most 2"),
        (lambda: Times("a", at_most=-1), "at_most is a whole number"),
        (lambda: OnlyAfter([], "b"), "the step of a rule is the name"),
        (lambda: Within("a", "-5m", of="b"), "cannot be negative"),
    ):
        with pytest.raises(InvalidArgumentError, match=message):
            make()


names = st.sampled_from(["A", "B", "name", "eng", "ü", "nobody"])
several = st.lists(names, min_size=1, max_size=2, unique=True)
micros = st.sampled_from([0, 1, 700, 3000]).map(lambda us: timedelta(microseconds=us))
rules = st.one_of(
    st.builds(lambda s, least, more: Times(s, at_least=least, at_most=least + more), several, st.integers(0, 2),
              st.integers(0, 2)),
    st.builds(OnlyAfter, several, several),
    st.builds(NeverAfter, several, several),
    st.builds(lambda s, w, of: Within(s, w, of=of), several, micros, several),
    st.builds(lambda s, by, w: FollowedBy(s, by, within=w), several, several, st.none() | micros),
    st.builds(StartsWith, several),
    st.builds(EndsWith, several),
)  # fmt: skip


def plainly(one: Any, case: Case) -> tuple[bool, list[str | None], bool]:
    """Whether the rule was asked of the engagement, the steps that break it (None: what never came), and whether it is
    pending."""
    visits = visits_of(case)
    going = case.status in OPEN
    mine = [k for k, visit in enumerate(visits) if visit.name in one.steps]
    starts = dict(zip([f"s{k}" for k in range(len(case.steps))], starts_of(case), strict=True))

    def at(visit: Visit) -> int:
        return starts[visit.ids[0]]

    def id_of(k: int) -> str:
        return visits[k].ids[0]

    if isinstance(one, Times):
        over = [id_of(k) for k in mine[one.at_most :]] if one.at_most is not None else []
        few = len(mine) < one.at_least
        return True, [*over, *([None] if few and not going else [])], few and going
    if isinstance(one, StartsWith | EndsWith):
        if not visits:
            return False, [], False
        place = 0 if isinstance(one, StartsWith) else len(visits) - 1
        wrong = visits[place].name not in one.steps
        if isinstance(one, EndsWith) and wrong and going:
            return True, [], True
        return True, [id_of(place)] if wrong else [], False
    breaks: list[str | None] = []
    pending = False
    for k in mine:
        before = [j for j in range(k) if visits[j].name in one.names[len(one.steps) :]]
        after = [j for j in range(k + 1, len(visits)) if visits[j].name in one.names[len(one.steps) :]]
        if isinstance(one, OnlyAfter) and not before:
            breaks.append(id_of(k))
        if isinstance(one, NeverAfter) and before:
            breaks.append(id_of(k))
        if isinstance(one, Within) and (not before or max(at(visits[k]) - at(visits[before[-1]]), 0) > one.within_us):
            breaks.append(id_of(k))
        if isinstance(one, FollowedBy):
            limit = one.within_us
            if after:
                late = limit is not None and max(at(visits[after[0]]) - at(visits[k]), 0) > limit
                breaks += [id_of(k)] if late else []
            elif not going or (limit is not None and at(visits[-1]) - at(visits[k]) > limit):
                breaks.append(id_of(k))
            else:
                pending = True
    return bool(mine), breaks, pending


@settings(max_examples=40, deadline=None)
@given(given_cases=cases(), one=rules)
def test_rules_equal_the_plain_reference(given_cases: list[Case], one: Any) -> None:
    found = conformance(frames_of(given_cases), rules=[one])
    expected = [plainly(one, case) for case in given_cases]
    row = found.rules().row(0, named=True)
    broken = [i for i, (_, breaks, _) in enumerate(expected) if breaks]
    pending = [i for i, (_, breaks, waits) in enumerate(expected) if waits and not breaks]
    assert row["n_asked"] == sum(asked for asked, _, _ in expected)
    assert (row["n_broken"], row["n_pending"]) == (len(broken), len(pending))
    assert row["n_kept"] == row["n_asked"] - len(broken) - len(pending)
    violations = found.violations().select("engagement_id", "step_id").rows()
    assert sorted(violations, key=str) == sorted(
        ((f"e{i}", step) for i, (_, breaks, _) in enumerate(expected) for step in breaks), key=str
    )
    frame = found.frame()
    assert frame["n_broken"].to_list() == [int(bool(breaks)) for _, breaks, _ in expected]
    assert frame["engagement_id"].to_list() == [f"e{i}" for i in range(len(given_cases))]


def test_right_after_is_what_led_to_it_not_what_happened_to_come_before() -> None:
    # A leads to B and, beside it, to C: in the log C comes right after B.
    case = Case([Step("A"), Step("B", triggers=["s0"]), Step("C", triggers=["s0"])])
    found = conformance(frames_of([case]), rules=["C only right after A", "C only right after B", "C only after B"])
    assert found.rules()["n_broken"].to_list() == [0, 1, 0]


def test_rules_with_times_need_times() -> None:
    steps, engagements = frames_of([Case([Step("A"), Step("B")])])
    gone = steps.with_columns(pl.lit(None, pl.Datetime("us", "UTC")).alias("started_at"))
    with pytest.raises(InvalidArgumentError, match="2 have no started_at"):
        conformance((gone, engagements), rules="B within 5m of A")
    assert conformance((gone, engagements), rules="B only after A").n_fitting == 1
