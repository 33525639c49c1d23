"""A frozen payload does not change with the original."""

from __future__ import annotations

from typing import Any

from ftnb.core.freeze import freeze


def test_later_changes_stay_out() -> None:
    state: dict[str, Any] = {"messages": ["a"], "plan": {"steps": [1]}, "seen": {1}}
    copy, late_bound = freeze(state)
    state["messages"].append("b")
    state["plan"]["steps"].append(2)
    state["seen"].add(2)
    state["new"] = True
    assert copy == {"messages": ["a"], "plan": {"steps": [1]}, "seen": {1}}
    assert not late_bound


def test_what_lies_too_deep_is_shared_and_said_so() -> None:
    deep: dict[str, Any] = {"1": {"2": {"3": {"4": {"5": [1]}}}}}
    copy, late_bound = freeze(deep)
    assert copy == deep
    assert late_bound


def test_wide_values_are_bounded() -> None:
    wide = [[[i]] for i in range(10_000)]
    copy, late_bound = freeze(wide)
    wide.append([["late"]])
    assert len(copy) == 10_000
    assert late_bound
