"""Conformance: what engagements did against the graph that they declared, and against rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from ..core.errors import InvalidArgumentError, UnknownStepError
from ._conformance_result import Conformance
from ._declared import Declared, declared_of
from ._gather import gathered
from ._intervals import checked_confidence
from ._led import led_of, with_ids
from ._rule_check import Held, hold
from ._rule_words import rule as rule_of
from ._rules import Rule
from ._source import Source, Tables, asked
from ._visits import Visits, visits_of

_CUT = ("failed",)
"""An engagement that failed did not end by itself: where it stopped is no end of the graph."""


def conformance(
    source: Source,
    *,
    rules: Iterable[str | Rule] | str | Rule = (),
    topology: Any = None,
    where: Mapping[str, Any] | None = None,
    branches: bool = False,
    confidence: float = 0.95,
) -> Conformance:
    """What engagements did against the graph that they declared, and against rules.

    Each engagement is held against the graph that it declared itself, so that a change of the graph breaks nothing;
    `topology` holds all against one: a recorded one (`eng.topology`), a dict of successors, as `{None: ["greet"],
    "greet": ["search"], "search": [None]}` (None: the start, the end), or pairs of names. Moves are those of
    `directly_follows` at the top. Besides declared edges, a move is declared into a global node, and at the beginning
    of a turn into an entry of the graph. Where nothing is declared of how the graph starts or ends, neither is judged;
    nor is the end of an engagement that failed. LangGraph does not tell edges that only a router's code knows (a
    conditional edge without a path map): what these take shows as undeclared.

    `rules` are words (see `rule`) or objects, about steps at any depth:

        "never A", "always A", "at most 3 A", "at least 2 A", "exactly 1 A", "starts with A", "ends with A",
        "A only after B", "A only right after B", "A never after B", "A never right after B", "A within 5m of B",
        "A followed by B", "A followed by B within 5m"; `A or B` stands for any of them

    Before and after are those of the log; "right after" is what led to it. Retries of a visit are no visits of their
    own. `source`, `where` and `branches` are as for `funnel`. With frames as source, `topology` may be left out when
    there are rules: then only these are looked at.

    Raises UnknownStepError for a rule about a step that is neither recorded nor declared, and InvalidArgumentError.
    """
    checked_confidence(confidence)
    found = [rule_of(one) for one in ([rules] if isinstance(rules, str | Rule) else rules)]
    if len(set(found)) < len(found):
        raise InvalidArgumentError("the same rule is given twice")
    given = gathered(source, asked(where, branches))
    engagements = given.tables.engagements
    declared = _declared(source, engagements, topology, bool(found))
    steps = with_ids(given)
    tables = Tables(steps, engagements)
    visits = visits_of(tables, times=True, places=True)
    led = led_of(given, steps, visits)
    judged = _judged(led, visits, declared)
    everywhere = visits_of(tables, level="all", times=any(one.is_timed for one in found), places=True)
    if found and not any(one.is_timed for one in found):
        everywhere = _without_clock(everywhere)
    _ensure_known(found, everywhere, declared)
    causes = led_of(given, steps, everywhere, ns=None) if found else led
    held: list[Held] = hold(found, everywhere, causes) if found else []
    return Conformance.of(found, held, declared, visits, judged, everywhere, confidence)


def _declared(source: Any, engagements: pl.DataFrame, topology: Any, has_rules: bool) -> Declared:
    try:
        return declared_of(source, engagements, topology)
    except InvalidArgumentError:
        if topology is not None or not has_rules:
            raise
        none = pl.repeat(None, engagements.height, dtype=pl.Int64, eager=True).alias("version")
        return Declared([], none)


def _without_clock(visits: Visits) -> Visits:
    rows = visits.rows.with_columns(pl.lit(None, pl.Int64).alias("clock"), pl.lit(0, pl.Int64).alias("waited"))
    return Visits(rows, visits.names, visits.engagements, visits.places)


def _judged(led: pl.DataFrame, visits: Visits, declared: Declared) -> pl.DataFrame:
    """Moves of engagements with a graph: `led`, `version` and `is_declared`. Each kind of move is judged once."""
    status = visits.engagements["status"]
    rows = led.with_columns(
        declared.of.gather(led["eng"]).alias("version"), status.is_in(_CUT).gather(led["eng"]).alias("is_cut")
    )
    keys = ["version", "from_name", "to_name", "is_new_turn", "is_cut"]
    kinds = rows.drop_nulls("version").select(keys).unique()
    allowed = [
        declared.shapes[version].allows(a, b, is_new_turn=new, is_cut=cut)
        for version, a, b, new, cut in kinds.iter_rows()
    ]
    kinds = kinds.with_columns(pl.Series("is_declared", allowed, pl.Boolean))
    return rows.join(kinds, on=keys, how="left", nulls_equal=True, maintain_order="left").drop("is_cut")


def _ensure_known(rules: list[Rule], visits: Visits, declared: Declared) -> None:
    """Frames do not know the graphs, so there a step that nobody took may be meant."""
    if not declared.shapes:
        return
    known = {*visits.names, *declared.names}
    for one in rules:
        for name in one.names:
            if name not in known:
                raise UnknownStepError.of(name, known, f"any graph or record of these engagements (rule '{one}')")
