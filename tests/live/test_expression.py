from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ftnb
from ftnb.live._expression import QUANTITIES, Expression

VALUES: dict[str, Any] = {
    "tokens": 1_200, "steps": 4, "errors": 0, "status": "active", "name": "house_search", "duration_ms": 5_000.0,
    "metadata": {"user_id": "u-42"}, "step.name": "search", "step.visit": 3, "event.kind": "tool_call",
    "event.failed": True, "event.model": None,
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "tokens > 1_000",
        "tokens > 1_000 and errors == 0",
        "not (errors >= 1) or tokens < 0",
        "1_000 < tokens <= 1_200",
        "duration_ms / steps > 1_000",
        "tokens - 200 == 1_000 and -tokens < 0",
        "'house' in name",
        "status in ['active', 'paused']",
        "status not in ('failed', 'abandoned')",
        "metadata.user_id == 'u-42'",
        "metadata.missing == None",
        "step.name == 'search' and step.visit > 2",
        "event.kind == 'tool_call' and event.failed",
    ],
)
def test_conditions_that_hold(text: str) -> None:
    assert Expression(text).holds(VALUES)


@pytest.mark.parametrize("text", ["tokens / errors > 1", "name > 3", "event.model > 2", "name * 9 == ''", "tokens < 0"])
def test_what_cannot_be_compared_does_not_hold(text: str) -> None:
    assert not Expression(text).holds(VALUES)


def test_the_level_is_that_of_the_narrowest_quantity() -> None:
    assert Expression("tokens > 1").level == "engagement"
    assert Expression("tokens > 1 and step.visit > 1").level == "step"
    assert Expression("step.visit > 1 and event.failed").level == "event"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a condition"),
        ("tokens >", "invalid syntax"),
        ("tokenz > 1", "Did you mean 'tokens'"),
        ("step.nam == 'x'", "Did you mean 'step.name'"),
        ("metadata.a.b == 1", "no quantity 'metadata.a.b'"),
        ("1 > 2", "asks about nothing"),
        ("tokens ** 99 > 1", "no comparison"),
        ("tokens << 99 > 1", "no comparison"),
        ("__import__('os').system('x')", "no comparison"),
        ("().__class__ == 1", "no quantity"),
        ("[x for x in name]", "no comparison"),
        ("(lambda: 1)()", "no comparison"),
        ("tokens > 1 if name else 2", "no comparison"),
        ("f'{name}' == 'x'", "no comparison"),
        ("(" * 300 + "tokens" + ")" * 300, "not understood"),
        ("tokens > 1" + " or tokens > 1" * 200, "at most 1000"),
    ],
)
def test_what_is_not_understood_says_why_and_what_there_is(text: str, why: str) -> None:
    with pytest.raises(ftnb.InvalidArgumentError) as caught:
        Expression(text)
    assert why in str(caught.value)
    if len(text) < 200 and text:
        assert all(name in str(caught.value) for name in QUANTITIES)


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_an_error_of_ours(text: str) -> None:
    try:
        expression = Expression(text)
    except ftnb.InvalidArgumentError:
        return
    assert expression.holds(VALUES) in (True, False)


@given(st.recursive(
    st.sampled_from(["tokens", "name", "step.visit", "1", "'x'", "None", "metadata.k"]),
    lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(["+", "*", "%", "<", "in", "and"]), inner),
    max_leaves=6,
))  # fmt: skip
def test_no_condition_raises_when_it_is_asked(text: str) -> None:
    try:
        expression = Expression(text)
    except ftnb.InvalidArgumentError:
        return
    assert expression.holds(VALUES) in (True, False)
