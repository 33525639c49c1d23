"""Funnels in SQL, as DuckDB and Spark both read it: the engine follows the engagements, and gives a row an attempt.

Seen from its last row, an engagement needs one pass a step: each execution takes over the path of the next execution of
the step after it. So every window runs over rows in descending order with a frame that only grows, which both engines
do in linear time. Executions travel as arrays of integers: `[pos, t, d, turn]`.
"""

from __future__ import annotations

import polars as pl

from ..core.errors import InvalidArgumentError
from ._funnel_paths import decoded
from ._funnel_spec import WIDTH, Item, Spec, candidates, earlier_alike, options_after, stops_after, width_of
from ._sql import SqlSteps, quoted, text

_GROWING = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
_SO_FAR = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"


def sql_reach(steps: SqlSteps, spec: Spec) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame | None]:
    """The paths and what was spent, by engagement, and turns."""
    asked = Asked(steps, spec)
    return decoded(steps.query(asked.paths()), spec), steps.query(asked.spent()), asked.turns()


class Asked:
    """One funnel over the steps of one SQL engine."""

    def __init__(self, steps: SqlSteps, spec: Spec) -> None:
        self.steps, self.spec = steps, spec
        most = [name for name in ("attempt", "turn") if name in steps.schema]
        self.most: dict[str, int] = {}
        if most:
            columns = ", ".join(f"MAX({quoted(steps, name)}) AS {name}" for name in most)
            row = steps.query(f"SELECT {columns} FROM steps").row(0, named=True)
            self.most = {name: int(value or 0) for name, value in row.items()}
        self.places = spec.mandatory

    # --- the rows ---

    def _base(self) -> str:
        """Rows that are read: `e`, `name`, `pos`, `t`, `d`, `u`, `tokens`, and `counts`: whether it is no retry."""
        schema = self.steps.schema
        keep = []
        if self.spec.mode != "strict":
            keep.append(self.is_any(frozenset(self.spec.names)))
        if not self.spec.nested and "ns" in schema:
            keep.append("coalesce(ns, '') = ''")
        if not self.spec.nested and "parent_step_id" in schema:
            keep.append("parent_step_id IS NULL")
        ns = "coalesce(ns, '')" if "ns" in schema else "''"
        counts = "TRUE"
        if self.most.get("attempt", 1) > 1:
            first = f"ROW_NUMBER() OVER (PARTITION BY engagement_id, {ns}, name ORDER BY pos) = 1"
            counts = f"(coalesce(attempt, 1) <= 1 OR {first})"
        where = f" WHERE {' AND '.join(keep)}" if keep else ""
        turn = self._integer("turn", "turn") if self.most.get("turn", 1) > 1 else "CAST(NULL AS BIGINT)"
        columns = {
            "e": f"CAST(engagement_id AS {self._string()})",
            "name": "name",
            "pos": "CAST(pos AS BIGINT)",
            "t": self.clock(),
            "d": self._integer("ROUND(duration_ms * 1000)", "duration_ms"),
            "u": turn,
            "tokens": f"coalesce({self._integer('total_tokens', 'total_tokens')}, 0)",
            "counts": counts,
        }
        return f"SELECT {', '.join(f'{what} AS {name}' for name, what in columns.items())} FROM steps{where}"

    def _string(self) -> str:
        return "VARCHAR" if self.steps.engine == "duckdb" else "STRING"

    def _integer(self, expression: str, column: str) -> str:
        return f"CAST({expression if column in self.steps.schema else 'NULL'} AS BIGINT)"

    def clock(self) -> str:
        """When a step began, in integer microseconds."""
        kind = self.steps.schema.get("started_at")
        if kind is None:
            return "CAST(NULL AS BIGINT)"
        if not kind.startswith("timestamp"):
            raise InvalidArgumentError(f"the steps' column 'started_at' must hold times; it is {kind}")
        return self.steps.micros("started_at")

    def is_any(self, names: frozenset[str]) -> str:
        """Whether a row's name is one of these."""
        return f"name IN ({', '.join(text(self.steps, name) for name in sorted(names))})"

    def _is(self, item: Item) -> str:
        return self.is_any(frozenset(item.names))

    def _rows(self) -> str:
        """The common table expression `rows`: executions with a clock that never runs backwards, `a` and `rn`."""
        number = "ROW_NUMBER() OVER (PARTITION BY e ORDER BY pos)"
        asked = self.is_any(frozenset(self.spec.names))
        attempt = "1"
        if self.spec.attempts == "every":
            entry = self._is(self.spec.items[0])
            attempt = f"SUM(CASE WHEN {entry} THEN 1 ELSE 0 END) OVER (PARTITION BY e ORDER BY pos {_SO_FAR})"
        latest = f"MAX(t) OVER (PARTITION BY e ORDER BY pos {_SO_FAR})"
        return (
            f"WITH base AS ({self._base()}), numbered AS (SELECT *, {number} AS rn FROM base WHERE counts), "
            f"rows_ AS (SELECT e, name, pos, CASE WHEN t IS NULL THEN NULL ELSE {latest} END AS t, d, u, rn, "
            f"{attempt} AS a FROM numbered WHERE {asked})"
        )

    # --- the paths ---

    def paths(self) -> str:
        """The statement that finds them; what it gives is read by `_funnel_paths.decoded`."""
        if self.spec.mode == "visited":
            return self._visited()
        if self.spec.mode == "any":
            return self._any()
        if self.spec.mode == "strict":
            return self._strict()
        return self._plain() if self.spec.is_plain else self._by_goals()

    def _own(self) -> str:
        return self.steps.array("pos", "t", "d", "u")

    def _visited(self) -> str:
        reached = ", ".join(
            f"min_by({self._own()}, pos) FILTER (WHERE {self._is(item)}) AS path{k}"
            for k, item in enumerate(self.spec.items)
        )
        return f"{self._rows()} SELECT e, {reached} FROM rows_ GROUP BY e"

    def _told(self, i: int) -> str:
        """What an execution of the i-th mandatory step says: itself, optional steps behind it, what stops these."""
        options = [f"f{k}" for k in options_after(self.spec, i)]
        parts = [f"coalesce({name}, {self.steps.array(*['NULL'] * WIDTH)})" for name in options]
        if options and stops_after(self.spec, i):
            parts.append(self.steps.array(f"stop{i}"))
        return self.steps.joined(self._own(), *parts)

    def _lookahead(self) -> str:
        """`rows_` with the next execution of each optional step (`f{k}`) and of what must not come before it."""
        columns = []
        back = f"OVER (PARTITION BY e, a ORDER BY pos DESC {_GROWING})"
        for i in range(len(self.places)):
            for k in options_after(self.spec, i):
                own = f"CASE WHEN {self._is(self.spec.items[k])} THEN {self._own()} END"
                columns.append(f"{self.steps.last(own)} {back} AS f{k}")
            stops = stops_after(self.spec, i)
            if options_after(self.spec, i) and stops:
                columns.append(f"{self.steps.last(f'CASE WHEN {self.is_any(stops)} THEN pos END')} {back} AS stop{i}")
        return f"SELECT *{''.join(', ' + column for column in columns)} FROM rows_"

    def _plain(self) -> str:
        goal = len(self.places) - 1
        inner = f"SELECT *, {self._case(goal, self._told(goal))} AS c{goal} FROM ({self._lookahead()}) x"
        for i in range(goal - 1, -1, -1):
            after = f"{self.steps.last(f'c{i + 1}')} OVER (PARTITION BY e, a ORDER BY pos DESC {_GROWING})"
            path = self._case(i, self.steps.joined(self._told(i), after))
            inner = f"SELECT *, {path} AS c{i} FROM ({inner}) x{i}"
        return self._entries(inner, "c0 AS path")

    def _case(self, i: int, value: str) -> str:
        return f"CASE WHEN {self._is(self.spec.items[self.places[i]])} THEN {value} END"

    def _by_goals(self) -> str:
        """A column for each goal, as in the kernel for polars: `c{i}_{goal}` is its earliest completion from here."""
        last = len(self.places) - 1
        inner = self._lookahead()
        told = ", ".join(f"{self._case(i, self._told(i))} AS c{i}_{i}" for i in range(last + 1))
        inner = f"SELECT *, {told} FROM ({inner}) x"
        for i in range(last - 1, -1, -1):
            goals = range(i + 1, last + 1)
            nexts = ", ".join(f"{self._next(i, goal)} AS n{i}_{goal}" for goal in goals)
            inner = f"SELECT *, {nexts} FROM ({inner}) y{i}"
            completions = ", ".join(f"{self._completion(i, goal)} AS c{i}_{goal}" for goal in goals)
            inner = f"SELECT *, {completions} FROM ({inner}) z{i}"
        return self._entries(inner, ", ".join(f"c0_{goal} AS path{goal}" for goal in range(last + 1)))

    def _next(self, i: int, goal: int) -> str:
        """`[1, its time, the completion]` of the next execution from which the goal is reached, or `[0]`: barred."""
        after = f"c{i + 1}_{goal}"
        target = f"WHEN {after} IS NOT NULL THEN {self.steps.joined(self.steps.array('1', 't'), after)}"
        barred = stops_after(self.spec, i)
        stop = f" WHEN {self.is_any(barred)} THEN {self.steps.array('0')}" if barred else ""
        return f"{self.steps.last(f'CASE {target}{stop} END')} OVER (PARTITION BY e, a ORDER BY pos DESC {_GROWING})"

    def _completion(self, i: int, goal: int) -> str:
        found = f"n{i}_{goal}"
        limit = self.spec.items[self.places[i + 1]].within_us
        timely = "" if limit is None else f" AND {self.steps.at(found, 1)} - t <= {limit}"
        rest = self.steps.array(*(self.steps.at(found, 2 + place) for place in range(width_of(self.spec, goal))))
        return self._case(i, f"CASE WHEN {self.steps.at(found, 0)} = 1{timely} THEN {rest} END")

    def _strict(self) -> str:
        """Executions carry the place of their step: `[k, pos, t, d, turn]`."""
        items = self.spec.items
        inner = "SELECT * FROM rows_"
        for k in range(len(items) - 1, -1, -1):
            own = self.steps.array(str(k), "pos", "t", "d", "u")
            following = candidates(self.spec, k)
            path = own
            if following:
                window = "OVER (PARTITION BY e, a ORDER BY pos)"
                then = ", ".join(f"LEAD(c{j}) {window}" for j in following)
                then = f"coalesce({then})" if len(following) > 1 else then
                path = self.steps.joined(own, f"CASE WHEN LEAD(rn) {window} = rn + 1 THEN {then} END")
            inner = f"SELECT *, CASE WHEN {self._is(items[k])} THEN {path} END AS c{k} FROM ({inner}) x{k}"
        return self._entries(inner, "c0 AS path")

    def _entries(self, inner: str, columns: str) -> str:
        """An attempt a row; of an engagement only the first entry, where no other can get further."""
        entry = self._is(self.spec.items[0])
        spec = self.spec
        first_is_best = spec.mode == "ordered" and spec.is_plain and spec.within_us is None
        found = f"SELECT e, a, pos, {columns}, ROW_NUMBER() OVER (PARTITION BY e ORDER BY pos) AS i FROM ({inner}) w"
        found += f" WHERE {entry}"
        if spec.attempts == "first" or (spec.attempts == "best" and first_is_best):
            found = f"SELECT * FROM ({found}) v WHERE i = 1"
        return f"{self._rows()} {found}"

    def _any(self) -> str:
        """For each row the latest executions of all steps; then the first row at which these lie within the window."""
        spec = self.spec
        inner = "SELECT * FROM rows_"
        place = self.steps.array("pos", "t")
        depth = max(earlier_alike(spec, k) for k in range(len(spec.items)))
        columns = ", ".join(
            f"CASE WHEN {self._is(item)} THEN {place} END AS q{k}_0" for k, item in enumerate(spec.items)
        )
        inner = f"SELECT *, {columns} FROM ({inner}) x"
        for n in range(depth):
            before = ", ".join(
                f"CASE WHEN {self._is(item)} THEN {self.steps.last(f'q{k}_{n}')} OVER (PARTITION BY e ORDER BY pos "
                f"{_GROWING}) END AS q{k}_{n + 1}"
                for k, item in enumerate(spec.items)
            )
            inner = f"SELECT *, {before} FROM ({inner}) x{n}"
        latest = ", ".join(
            f"{self.steps.last(f'q{k}_{earlier_alike(spec, k)}')} OVER (PARTITION BY e ORDER BY pos {_SO_FAR}) AS l{k}"
            for k in range(len(spec.items))
        )
        inner = f"SELECT *, {latest} FROM ({inner}) y"
        reached = ", ".join(self._first_with(k) for k in range(len(spec.items)))
        return f"{self._rows()} SELECT e, {reached} FROM ({inner}) z GROUP BY e"

    def _first_with(self, k: int) -> str:
        needed = [f"l{i}" for i in [*(m for m in self.places if m < k), k]]
        first = f"least({', '.join(needed)})" if len(needed) > 1 else needed[0]
        begun = self.steps.at(first, 1)
        whole = " AND ".join(f"{name} IS NOT NULL" for name in needed)
        if self.spec.within_us is not None:
            whole += f" AND t - {begun} <= {self.spec.within_us}"
        told = self.steps.array("pos", "t", "d", "u", begun)
        return f"min_by({told}, pos) FILTER (WHERE {whole}) AS path{k}"

    # --- the rest ---

    def spent(self) -> str:
        """Tokens and visits of each name, by engagement."""
        visits = "SUM(CASE WHEN counts THEN 1 ELSE 0 END)"
        asked = self.is_any(frozenset(self.spec.names))
        return (
            f"WITH base AS ({self._base()}) SELECT e AS engagement_id, name, CAST(SUM(tokens) AS BIGINT) AS tokens, "
            f"CAST({visits} AS BIGINT) AS visits FROM base WHERE {asked} GROUP BY e, name"
        )

    def turns(self) -> pl.DataFrame | None:
        """When turns began and ended; None when there is one each, or when the steps do not say."""
        schema = self.steps.schema
        times = all(schema.get(name, "").startswith("timestamp") for name in ("started_at", "ended_at"))
        if self.most.get("turn", 1) <= 1 or not times:
            return None
        begun, over = self.steps.micros("started_at"), self.steps.micros("ended_at")
        turns = self.steps.query(
            f"SELECT CAST(engagement_id AS {self._string()}) AS engagement_id, CAST(turn AS BIGINT) AS turn, "
            f"MIN({begun}) AS begun, greatest(MAX({begun}), coalesce(MAX({over}), MAX({begun}))) AS over "
            "FROM steps GROUP BY engagement_id, turn"
        )
        return turns.filter(pl.col("turn").max().over("engagement_id") > 1)
