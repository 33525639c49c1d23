"""Directly-follows graphs: against a plain reference, and the cases that are easy to get wrong, by name."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ftnb
from ftnb.analytics import directly_follows, durations, loops, sankey, step_matrix, variants
from ftnb.core.errors import InvalidArgumentError, UnknownStepError
from ftnb.core.model import EngagementStatus, StepStatus
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.benchmarks._journey_log import journeys

from ._journeys import OPEN, Case, Step, Visit, cases, frames_of, quantile, visits_of, waited_by

Move = tuple[str | None, str | None, int, int | None, int, int]


def chain(path: str, status: str = "completed", version: str | None = None) -> Case:
    return Case([Step(name, gap=2000) for name in path], status, version)


def edges_of(result: Any) -> dict[tuple[str | None, str | None], int]:
    return {(row["from_name"], row["to_name"]): row["n"] for row in result.frame().to_dicts()}


# --- against a plain reference ---


def move(case: Case, a: Visit, b: Visit) -> tuple[int, int]:
    waited = waited_by(case)
    wait = max(waited[b.turn] - waited[a.turn], 0)
    return max(b.start - waited[b.turn] - (a.start - waited[a.turn]), 0), wait


def moves_in_sequence(given: list[Case]) -> list[Move]:
    """(from, to, engagement, us, waited, tokens) of all moves."""
    moves: list[Move] = []
    for i, case in enumerate(given):
        visits = visits_of(case)
        if visits:
            moves.append((None, visits[0].name, i, None, 0, 0))
        for a, b in pairwise(visits):
            moves.append((a.name, b.name, i, *move(case, a, b), a.tokens))
        if visits and case.status not in OPEN:
            moves.append((visits[-1].name, None, i, visits[-1].us, 0, visits[-1].tokens))
    return moves


def moves_by_cause(given: list[Case], transitions: pl.DataFrame) -> list[Move]:
    """The same from the transitions, one by one."""
    moves: list[Move] = []
    seen = set()
    ends: list[tuple[int, Visit]] = []
    went_on = set()
    for row in transitions.to_dicts():
        i = int(row["engagement_id"][1:])
        case = given[i]
        at = {step_id: visit for visit in visits_of(case) for step_id in visit.ids}
        a, b = at.get(row["from_step_id"]), at.get(row["to_step_id"])
        # What led to a visit led to its first attempt.
        if row["to_step_id"] is not None and (b is None or a is b or row["to_step_id"] != b.ids[0]):
            continue
        if row["from_step_id"] is None:
            moves.append((None, row["to_name"], i, None, 0, 0))
        elif a is None:
            moves.append((row["from_name"], row["to_name"], i, None, 0, 0))
        elif b is None:
            ends.append((i, a))
        elif (i, a.ids[0], b.ids[0]) not in seen:
            # Several attempts may have led to the same.
            seen.add((i, a.ids[0], b.ids[0]))
            went_on.add((i, a.ids[0]))
            moves.append((a.name, b.name, i, *move(case, a, b), a.tokens))
    last = {(i, a.ids[0]): (a.name, None, i, a.us, 0, a.tokens) for i, a in ends if (i, a.ids[0]) not in went_on}
    return [*moves, *last.values()]


def edge_reference(given: list[Case], moves: list[Move]) -> dict[tuple[Any, ...], dict[str, Any]]:
    edges: dict[tuple[Any, ...], list[Move]] = defaultdict(list)
    leaving: dict[str | None, int] = defaultdict(int)
    for found in moves:
        edges[found[0], found[1]].append(found)
        leaving[found[0]] += 1
    result = {}
    for (a, b), rows in edges.items():
        times = [row[3] / 1000 for row in rows if row[3] is not None]
        engagements = {row[2] for row in rows}
        result[a, b] = {
            "from_name": a, "to_name": b, "n": len(rows), "n_engagements": len(engagements),
            "share": len(engagements) / len(given), "probability": len(rows) / leaving[a],
            "q1_ms": quantile(times, 0.25), "median_ms": quantile(times, 0.5), "q3_ms": quantile(times, 0.75),
            "wait_ms": sum(row[4] for row in rows) / 1000, "total_tokens": sum(row[5] for row in rows),
        }  # fmt: skip
    return result


def node_reference(given: list[Case], moves: list[Move]) -> dict[str, dict[str, Any]]:
    nodes: dict[str, list[tuple[int, Visit]]] = defaultdict(list)
    for i, case in enumerate(given):
        for visit in visits_of(case):
            nodes[visit.name].append((i, visit))
    result = {}
    for name, rows in nodes.items():
        times = [visit.us / 1000 for _, visit in rows if visit.us is not None]
        n_engagements = len({i for i, _ in rows})
        tokens = sum(visit.tokens for _, visit in rows)
        dropped = sum(
            case.status in ("abandoned", "failed") and bool(case.steps) and case.steps[-1].name == name
            for case in given
        )
        result[name] = {
            "name": name, "n_visits": len(rows), "n_engagements": n_engagements, "share": n_engagements / len(given),
            "n_starts": sum(found[:2] == (None, name) for found in moves),
            "n_ends": sum(found[:2] == (name, None) for found in moves),
            "n_dropped": dropped, "drop_off_rate": dropped / n_engagements,
            "q1_ms": quantile(times, 0.25), "median_ms": quantile(times, 0.5), "q3_ms": quantile(times, 0.75),
            "total_tokens": tokens, "tokens_per_visit": tokens / len(rows),
        }  # fmt: skip
    return result


def assert_equal(rows: list[dict[str, Any]], expected: dict[Any, dict[str, Any]], *keys: str) -> None:
    found = {tuple(row[key] for key in keys): row for row in rows}
    assert len(found) == len(rows)
    assert set(found) == {tuple(row[key] for key in keys) for row in expected.values()}
    for row in expected.values():
        assert found[tuple(row[key] for key in keys)] == pytest.approx(row, abs=1e-9)


@given(given_cases=cases(), shuffled=st.booleans())
@settings(max_examples=40)
def test_sequences_equal_the_plain_reference(given_cases: list[Case], shuffled: bool) -> None:
    result = directly_follows(frames_of(given_cases, shuffled=shuffled), relation="sequence")
    moves = moves_in_sequence(given_cases)
    assert_equal(result.frame().to_dicts(), edge_reference(given_cases, moves), "from_name", "to_name")
    assert_equal(result.nodes().to_dicts(), node_reference(given_cases, moves), "name")


@given(given_cases=cases(causes=True))
@settings(max_examples=40)
def test_causes_equal_the_plain_reference(given_cases: list[Case]) -> None:
    from ftnb.analytics._moves import transitions_from

    steps, engagements = frames_of(given_cases)
    transitions = transitions_from(steps, engagements)
    assert transitions is not None
    result = directly_follows((steps, engagements))
    moves = moves_by_cause(given_cases, transitions)
    assert_equal(result.frame().to_dicts(), edge_reference(given_cases, moves), "from_name", "to_name")
    assert_equal(result.nodes().to_dicts(), node_reference(given_cases, moves), "name")


@given(given_cases=cases())
@settings(max_examples=20)
def test_each_group_is_what_it_is_alone(given_cases: list[Case]) -> None:
    steps, engagements = frames_of([*given_cases, chain("A", version="v1")])
    result = directly_follows((steps, engagements), by="version")
    version = pl.col("metadata").str.json_path_match("$.version")
    assert sum(result.totals) == engagements.height
    for value in result.groups:
        alone = directly_follows((steps, engagements.filter(version.eq_missing(pl.lit(value)))))
        for whole, part in ((result.frame(), alone.frame()), (result.nodes(), alone.nodes())):
            rows = whole.filter(pl.col("group").eq_missing(pl.lit(value))).drop("group")
            keys = rows.columns[:2]
            assert rows.sort(keys).to_dicts() == part.sort(keys).to_dicts()


# --- cases that are easy to get wrong ---


def test_loops_and_self_loops() -> None:
    result = directly_follows(frames_of([chain("AABAB")]))
    assert edges_of(result) == {(None, "A"): 1, ("A", "A"): 1, ("A", "B"): 2, ("B", "A"): 1, ("B", None): 1}
    probability = {(r["from_name"], r["to_name"]): r["probability"] for r in result.frame().to_dicts()}
    assert probability["A", "B"] == pytest.approx(2 / 3)
    assert probability["B", None] == 0.5


def test_order_is_that_of_the_log_not_of_the_clock() -> None:
    # Ties in time, and a clock that goes backwards: durations stay at 0, the order as it was.
    case = Case([Step("A", gap=0), Step("B", gap=0), Step("C", gap=-4000), Step("D", gap=1)])
    rows = {(r["from_name"], r["to_name"]): r for r in directly_follows(frames_of([case])).frame().to_dicts()}
    assert set(rows) == {(None, "A"), ("A", "B"), ("B", "C"), ("C", "D"), ("D", None)}
    assert (rows["A", "B"]["median_ms"], rows["B", "C"]["median_ms"], rows["C", "D"]["median_ms"]) == (0, 0, 0.001)


def record(store: SQLiteStore, status: EngagementStatus | None = EngagementStatus.COMPLETED) -> tuple[Recorder, str]:
    recorder = Recorder(store)
    return recorder, recorder.start_engagement("w")


def test_parallel_branches_and_their_join_are_what_they_were() -> None:
    store = SQLiteStore()
    for order in ("BC", "CB"):
        recorder, engagement = record(store)
        a = recorder.start_step(engagement, "A")
        both = [recorder.start_step(engagement, name, triggers=[a]) for name in order]
        d = recorder.start_step(engagement, "D", triggers=both)
        for step in (a, *both, d):
            recorder.record_llm_call(step, "gpt", prompt=10)
            recorder.end_step(step, duration_ms=1.0)
        recorder.end_engagement(engagement, EngagementStatus.COMPLETED)
        assert recorder.flush()
    traces = ftnb.open(store)
    expected = {(None, "A"): 2, ("A", "B"): 2, ("A", "C"): 2, ("B", "D"): 2, ("C", "D"): 2, ("D", None): 2}
    assert edges_of(directly_follows(store)) == edges_of(traces.directly_follows()) == expected
    # The order of the log says less: branches seem to follow one another.
    assert ("B", "C") in edges_of(traces.directly_follows(relation="sequence"))


def test_a_resumed_step_is_no_move_to_itself_and_its_wait_is_apart() -> None:
    steps = [Step("A", us=1000, gap=0), Step("ask", us=500, gap=1000),
             Step("ask", attempt=2, us=500, gap=60_000_000, turn=2), Step("B", us=100, gap=500, turn=2)]  # fmt: skip
    for index in (1, 2, 3):
        steps[index].triggers = [f"s{index - 1}"]
    for relation in ("causal", "sequence"):
        rows = directly_follows(frames_of([Case(steps)]), relation=relation).frame().to_dicts()  # type: ignore[arg-type]
        found = {(row["from_name"], row["to_name"]): row for row in rows}
        assert set(found) == {(None, "A"), ("A", "ask"), ("ask", "B"), ("B", None)}
        # From the first start of `ask` to the start of `B`, less the minute that a human took.
        assert found["ask", "B"]["median_ms"] == pytest.approx(1.0)
        assert found["ask", "B"]["wait_ms"] == pytest.approx(59_999.5)


def test_retries_are_one_visit_and_their_tokens_count() -> None:
    store = SQLiteStore()
    recorder, engagement = record(store)
    for attempt, status in ((1, StepStatus.FAILED), (2, StepStatus.COMPLETED)):
        step = recorder.start_step(engagement, "A", attempt=attempt)
        recorder.record_llm_call(step, "gpt", prompt=10)
        recorder.end_step(step, status, duration_ms=2.0)
    recorder.end_engagement(engagement, EngagementStatus.COMPLETED)
    assert recorder.flush()
    result = directly_follows(store)
    assert edges_of(result) == {(None, "A"): 1, ("A", None): 1}
    (node,) = result.nodes().to_dicts()
    assert (node["n_visits"], node["total_tokens"], node["median_ms"]) == (1, 20, 4.0)


def test_engagements_that_go_on_have_no_end() -> None:
    result = directly_follows(frames_of([chain("AB", "active"), chain("AB", "paused"), chain("AB")]))
    assert edges_of(result) == {(None, "A"): 3, ("A", "B"): 3, ("B", None): 1}


def test_drop_offs_are_counted_where_they_happened() -> None:
    nodes = directly_follows(frames_of([chain("AB", "abandoned"), chain("ABA"), chain("A", "failed")])).nodes()
    assert [(row["name"], row["n_dropped"], row["drop_off_rate"]) for row in nodes.to_dicts()] == [
        ("A", 1, pytest.approx(1 / 3)),
        ("B", 1, 0.5),
    ]


def test_steps_inside_subgraphs_only_when_asked() -> None:
    store = SQLiteStore()
    recorder, engagement = record(store)
    outer = recorder.start_step(engagement, "outer")
    inner = recorder.start_step(engagement, "inner", parent=outer, ns="outer")
    recorder.start_step(engagement, "inner2", parent=outer, ns="outer", triggers=[inner])
    recorder.start_step(engagement, "after", triggers=[outer])
    assert recorder.flush()
    assert set(edges_of(directly_follows(store))) == {(None, "outer"), ("outer", "after")}
    assert ("inner", "inner2") in edges_of(directly_follows(store, level="all"))


@pytest.mark.parametrize("given_cases", [[], [chain("")], [chain("A")]])
def test_nothing_and_nearly_nothing(given_cases: list[Case]) -> None:
    result = directly_follows(frames_of(given_cases))
    expected = {(None, "A"): 1, ("A", None): 1} if given_cases and given_cases[0].steps else {}
    assert edges_of(result) == expected
    assert result.totals == [len(given_cases)]
    assert repr(result)
    assert result.figure() is not None
    assert result.figure(kind="matrix") is not None


def test_frames_without_times_ids_or_metadata() -> None:
    steps, engagements = frames_of([chain("AB"), chain("B")])
    bare = steps.select("engagement_id", "name", "ns", "attempt", "duration_ms", "total_tokens")
    result = directly_follows((bare.to_pandas(), engagements.drop("metadata").to_arrow()))
    assert edges_of(result) == {(None, "A"): 1, ("A", "B"): 1, ("B", None): 2, (None, "B"): 1}
    # Without clocks, what is known of a move is the work of the step that it leaves.
    assert result.frame().filter(from_name="A")["median_ms"].to_list() == [1.0]


def test_names_of_any_kind() -> None:
    names = ["__proto__", "from", "to", "<b>x</b>", "eng", "", "ü→\n", "None"]
    result = directly_follows(frames_of([Case([Step(name) for name in names])]))
    assert list(result.nodes()["name"]) == names
    html = result._repr_mimebundle_()["text/html"]
    assert "<b>x</b>" not in html
    assert "<b>x</b>" not in result.figure().to_json()


def test_the_engagements_behind_an_edge() -> None:
    result = directly_follows(frames_of([chain("ABAB"), chain("AB", version="v1"), chain("B")]), by=None)
    assert result.engagements("A", "B").to_dicts() == [{"engagement_id": "e0", "n": 2}, {"engagement_id": "e1", "n": 1}]
    assert result.engagements(None, "B")["engagement_id"].to_list() == ["e2"]
    assert result.engagements("B", "A")["n"].to_list() == [1]
    with pytest.raises(UnknownStepError, match="no step 'a' in these engagements"):
        result.engagements("a", "B")
    grouped = directly_follows(frames_of([chain("AB"), chain("AB", version="v1")]), by="version")
    assert grouped.engagements("A", "B", group="v1")["engagement_id"].to_list() == ["e1"]
    with pytest.raises(InvalidArgumentError, match=r"no group 'v3' of 'version'; groups: 'v1', None"):
        grouped.engagements("A", "B", group="v3")


# --- the difference of two groups ---


def test_the_difference_of_two_groups() -> None:
    given_cases = [chain("AB", version="v1"), chain("AC", version="v1"), chain("AB", version="v2")]
    result = directly_follows(frames_of(given_cases), by="version").difference("v1", "v2")
    rows = {(row["from_name"], row["to_name"]): row for row in result.frame().to_dicts()}
    b, c = rows["A", "B"], rows["A", "C"]
    assert (b["n_before"], b["n_after"], b["share_before"], b["share_after"]) == (1, 1, 0.5, 1.0)
    assert (b["share_difference"], b["probability_difference"]) == (0.5, 0.5)
    # A group that came to A but never went to C did so with probability 0; how long it would have taken is not known.
    assert (c["n_after"], c["probability_after"], c["median_after_ms"], c["median_difference_ms"]) == (
        0,
        0.0,
        None,
        None,
    )
    assert rows["C", None]["probability_after"] is None
    node = {row["name"]: row for row in result.nodes().to_dicts()}["C"]
    assert (node["n_visits_before"], node["n_visits_after"], node["share_difference"]) == (1, 0, -0.5)
    assert "v2 (1 engagement) against v1 (2 engagements)" in repr(result)
    swapped = directly_follows(frames_of(given_cases), by="version").difference("v2", "v1").frame()
    assert swapped.filter(from_name="A", to_name="B")["share_difference"].to_list() == [-0.5]


def test_the_difference_of_two_graphs() -> None:
    before, after = (directly_follows(frames_of([chain(path)])) for path in ("AB", "AC"))
    result = after.difference_from(before)
    assert result.names == ("before", "after")
    assert result.frame().filter(from_name="A", to_name="C")["share_difference"].to_list() == [1.0]
    with pytest.raises(InvalidArgumentError, match="a difference needs groups"):
        before.difference("v1", "v2")


@given(given_cases=cases())
@settings(max_examples=40)
def test_a_difference_from_itself_is_nothing(given_cases: list[Case]) -> None:
    graph = directly_follows(frames_of(given_cases))
    frame = graph.difference_from(graph).frame()
    for name in ("share_difference", "probability_difference"):
        assert frame[name].drop_nulls().abs().sum() == 0


# --- engines ---


def mixed() -> list[Case]:
    again = [Step("A", gap=5), Step("ask", tokens=3), Step("ask", attempt=2, turn=2, gap=90_000), Step("B", turn=2)]
    return [chain("ABAB", version="v1"), chain("AAB", "abandoned"), Case(again, "completed", "v2"), chain("", "paused")]


ANSWERS: list[Any] = [
    lambda source: directly_follows(source, by="version").frame(),
    lambda source: directly_follows(source).nodes(),
    lambda source: variants(source, collapse="loops").frame(),
    lambda source: step_matrix(source).frame(),
    lambda source: sankey(source, by="version").frame(),
    lambda source: loops(source).cycles(),
    lambda source: durations(source).frame(),
]


def test_duckdb_answers_to_the_last_digit(tmp_path: Path) -> None:
    import duckdb

    steps, engagements = frames_of(mixed())
    steps.with_row_index("seq").write_parquet(tmp_path / "steps.parquet")
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'Asia/Tokyo'")
    relation = connection.sql(f"SELECT * FROM read_parquet('{tmp_path / 'steps.parquet'}')")
    for answer in ANSWERS:
        assert answer((relation, engagements)).equals(answer((steps, engagements)))


def test_spark_answers_to_the_last_digit(spark: Any, tmp_path: Path) -> None:
    steps, engagements = frames_of(mixed())
    steps.with_row_index("seq").with_columns(pl.col("seq").cast(pl.Int64)).write_parquet(tmp_path / "steps.parquet")
    frame = spark.read.parquet(str(tmp_path / "steps.parquet")).repartition(2)
    assert variants((frame, engagements)).frame().equals(variants((steps, engagements)).frame())
    steps, engagements = frames_of(in_order())
    steps.with_row_index("seq").with_columns(pl.col("seq").cast(pl.Int64)).write_parquet(tmp_path / "plain.parquet")
    frame = spark.read.parquet(str(tmp_path / "plain.parquet")).repartition(2)
    assert_counted_alike((frame, engagements), (steps, engagements))


def in_order(given: list[Case] | None = None) -> list[Case]:
    """Cases with turns, ties, clocks set back and unknown times, in which each step was caused by the one before."""
    waits = [Step("A", us=None, tokens=2), Step("B", gap=0, tokens=3), Step("A", turn=2, gap=90_000, us=7)]
    back = [Step("ü", gap=-500), Step("name", gap=1, us=40_001), Step("A", us=3)]
    made = given or [
        Case(waits),
        Case(waits[:2], "paused"),
        Case(back, "abandoned"),
        chain("AABAB"),
        chain("", "paused"),
    ]
    for case in made:
        for place, step in enumerate(case.steps):
            step.attempt, step.triggers = 1, [f"s{place - 1}"] if place else []
    return made


def assert_counted_alike(by_engine: Any, by_polars: Any, **options: Any) -> None:
    """The engine counts by itself, reads no row one by one, and tells the same to the last digit."""
    expected = directly_follows(by_polars, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ftnb.analytics._flows.gathered", None)
        found = directly_follows(by_engine, **options)
    assert found.frame().equals(expected.frame())
    assert found.nodes().equals(expected.nodes())
    for a, b in found.frame().select("from_name", "to_name").iter_rows():
        assert found.engagements(a, b).equals(expected.engagements(a, b))
        break


def test_quartiles_are_divided_alike_everywhere() -> None:
    """Halfway between 1 and 1,000 microseconds lies 0.5005 ms, and not a digit more."""
    ends = [Case([Step("B", us=1)]), Case([Step("B", us=1_000)])]
    edge = directly_follows(frames_of(in_order(ends))).frame().filter(pl.col("to_name").is_null())
    assert edge.select("q1_ms", "median_ms", "q3_ms").row(0) == (0.25075, 0.5005, 0.75025)


@given(given_cases=cases(max_size=12).map(lambda found: in_order([*found, chain("AB")])), sequence=st.booleans())
@settings(max_examples=10)
def test_duckdb_counts_what_polars_counts(
    tmp_path_factory: pytest.TempPathFactory, given_cases: list[Case], sequence: bool
) -> None:
    import duckdb

    file = tmp_path_factory.mktemp("flows") / "steps.parquet"
    steps, engagements = frames_of(given_cases)
    steps.with_row_index("seq").write_parquet(file)
    relation = duckdb.connect().sql(f"SELECT * FROM read_parquet('{file}')")
    asked = {"relation": "sequence"} if sequence else {}
    assert_counted_alike((relation, engagements), (steps, engagements), **asked)


@given(given_cases=cases(causes=True))
@settings(max_examples=8)
def test_what_duckdb_cannot_count_is_looked_at_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, given_cases: list[Case]
) -> None:
    import duckdb

    file = tmp_path_factory.mktemp("flows") / "steps.parquet"
    steps, engagements = frames_of(given_cases)
    steps.with_row_index("seq").write_parquet(file)
    relation = duckdb.connect().sql(f"SELECT * FROM read_parquet('{file}')")
    found, expected = directly_follows((relation, engagements)), directly_follows((steps, engagements))
    assert found.frame().equals(expected.frame())
    assert found.nodes().equals(expected.nodes())


def test_a_folder_read_by_an_engine(tmp_path: Path) -> None:
    store = SQLiteStore()
    for path in ("AAB", "AB"):
        recorder, engagement = record(store)
        for name in path:
            recorder.end_step(recorder.start_step(engagement, name), duration_ms=2.0)
        recorder.end_engagement(engagement, EngagementStatus.COMPLETED)
        assert recorder.flush()
    ftnb.open(store).to_parquet(tmp_path / "share")
    expected = ftnb.open(store).directly_follows().frame()
    for engine in ("polars", "duckdb"):
        found = ftnb.open(tmp_path / "share", engine=engine).directly_follows().frame()  # type: ignore[arg-type]
        assert found.equals(expected)


# --- what cannot be asked ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"by": "versoin"},
            r"no metadata key and no column 'versoin' for by; keys: version;.*Did you mean 'version'\?",
        ),
        ({"by": 3}, "by is a metadata key or a column of the engagements; got 3"),
        ({"where": "v1"}, "where is a dict of metadata"),
        ({"relation": "temporal"}, "no relation 'temporal'; relations: causal .*sequence"),
        ({"level": "deep"}, "no level 'deep'; levels: top"),
    ],
)
def test_arguments_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        directly_follows(frames_of([chain("AB", version="v1")]), **options)


def test_times_without_a_zone_are_refused() -> None:
    steps, engagements = frames_of([chain("AB")])
    naive = steps.with_columns(pl.col("started_at").dt.replace_time_zone(None))
    with pytest.raises(InvalidArgumentError, match="column 'started_at' must hold times of one time zone"):
        directly_follows((naive, engagements))


def test_where_and_groups_of_columns() -> None:
    source = frames_of([chain("AB", version="v1"), chain("B", "abandoned", version="v2")])
    assert edges_of(directly_follows(source, where={"version": "v2"})) == {(None, "B"): 1, ("B", None): 1}
    assert directly_follows(source, where={"version": "v3"}).frame().is_empty()
    by_status = directly_follows(source, by="status")
    assert (by_status.groups, by_status.totals) == (["abandoned", "completed"], [1, 1])


def test_the_saved_form_is_small_and_needs_nothing() -> None:
    result = directly_follows(frames_of([chain("ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 2)]))
    bundle = result._repr_mimebundle_()
    assert len(bundle["text/html"].encode()) < 20_000
    assert "http" not in bundle["text/html"]
    assert "more rows" in bundle["text/html"]
    assert bundle["application/vnd.plotly.v1+json"]["data"]


# --- an independent library ---


def test_counts_are_those_of_pm4py() -> None:
    expected = json.loads((Path(__file__).parent / "pm4py_counts.json").read_text())
    frame = pl.DataFrame(list(journeys(500)), schema=["engagement_id", "name", "started_at"], orient="row")
    steps = frame.with_columns(ns=pl.lit(""), attempt=1, duration_ms=pl.lit(None, pl.Float64), total_tokens=0)
    ids = frame.select("engagement_id").unique(maintain_order=True)
    engagements = ids.with_columns(status=pl.lit("completed"), dropped_at=pl.lit(None, pl.String))
    found = edges_of(directly_follows((steps, engagements)))
    assert sorted([a, b, n] for (a, b), n in found.items() if a and b) == expected["edges"]
    assert {b: n for (a, b), n in found.items() if a is None} == expected["starts"]
    assert {a: n for (a, b), n in found.items() if b is None} == expected["ends"]
    paths = variants((steps, engagements)).frame()
    assert sorted([row["path"], row["n"]] for row in paths.to_dicts()) == expected["variants"]


def test_the_process_map_shows_the_numbers_of_the_frames() -> None:
    graph = directly_follows(frames_of([chain("abc"), chain("abd", "failed"), chain("ab", "abandoned")]))
    payload: Any = graph.widget().payload
    assert payload["groups"] == [{"name": "engagements", "n_engagements": 3}]
    names = [node["name"] or None for node in payload["nodes"]]
    shown = {(names[e["source"]], names[e["target"]]): e["numbers"][0]["n"] for e in payload["edges"]}
    assert shown == edges_of(graph)


def test_the_process_map_of_a_group_and_of_a_difference() -> None:
    cases = [chain("ab", version="1"), chain("ab", version="1"), chain("ac", version="2")]
    graph = directly_follows(frames_of(cases), by="version")
    assert graph.widget(group="2").payload["groups"] == [{"name": "2", "n_engagements": 1}]
    payload: Any = graph.difference("1", "2").widget().payload
    assert [group["n_engagements"] for group in payload["groups"]] == [2, 1]
    names = [node["name"] or None for node in payload["nodes"]]
    shown = {(names[e["source"]], names[e["target"]]): [n["n"] for n in e["numbers"]] for e in payload["edges"]}
    assert (shown["a", "b"], shown["a", "c"]) == ([2, 0], [0, 1])
