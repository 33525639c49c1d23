"""The answer of `funnel`: its numbers, the engagements behind them, and how it shows itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import polars as pl
from pydantic import BaseModel, PrivateAttr

from ..core.errors import InvalidArgumentError, UnknownStepError
from ._funnel_spec import Attempts, Mode
from ._kept import keeps_table

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from ..figures.theme import Theme
    from ..widget.figure import FigureView
    from ._funnel_numbers import Evidence
    from ._funnel_reading import Reading

Outcome = Literal["reached", "dropped", "censored", "continued", "converted"]


class FunnelStep(BaseModel):
    """One step of a funnel, over all engagements that were considered; with attempts="every", over all attempts."""

    name: str
    """The step's name; alternatives are joined by ` | `."""
    reached: int
    """Engagements that reached it."""
    dropped: int
    """`visited`: engagements whose recorded `dropped_at` is this step. Other modes: engagements that got this far and
    no further, and will not."""
    conversion_rate: float | None
    """`(reached - dropped) / reached`; 0 when nobody reached it, None for the last step."""
    avg_duration_ms: float | None
    """Mean over the engagements that reached it, of the execution that reached it; None when none was measured."""
    total_tokens: int
    """Tokens over all visits and attempts of that node, in all engagements considered."""
    step_conversion_rate: float | None = None
    """Of the engagements that reached the step before (the last that cannot be left out), the share that reached this
    one; None for the first step, and when nobody reached the step before."""
    overall_conversion_rate: float | None = None
    """Of the engagements that reached the first step, the share that reached this one; None when nobody did."""
    continuation_rate: float | None = None
    """`(reached - dropped) / reached`, for every step; None when nobody reached it."""
    n_visits: int = 0
    """Executions of that node, in all engagements considered; retries and resumes of one visit count once."""
    median_duration_ms: float | None = None
    """As `avg_duration_ms`, the median."""
    censored: int = 0
    """Engagements that got this far and may yet get further, so that they are no drop-offs: active, paused, or with
    time left in their window and no recorded drop-off."""
    recorded_drops: int = 0
    """Engagements whose recorded `dropped_at` is this step, in whatever mode."""
    optional: bool = False
    """Whether it may be left out."""
    step_conversion_low: float | None = None
    """Wilson's interval of `step_conversion_rate`, as of the other rates."""
    step_conversion_high: float | None = None
    overall_conversion_low: float | None = None
    overall_conversion_high: float | None = None
    continuation_low: float | None = None
    continuation_high: float | None = None
    q1_time_ms: float | None = None
    """Time from entering the funnel to this step: the first quartile of the engagements that reached it. None for the
    first step, in mode `visited`, and when the clock is not known."""
    median_time_ms: float | None = None
    q3_time_ms: float | None = None
    q1_step_time_ms: float | None = None
    """Time from the step before: the same."""
    median_step_time_ms: float | None = None
    q3_step_time_ms: float | None = None
    median_wait_ms: float | None = None
    """Of the time from entering, what passed between turns, while the agent waited for somebody; None when no
    engagement has several turns."""
    median_active_time_ms: float | None = None
    """The time from entering without that wait."""
    dropped_tokens: int | None = None
    """Tokens that the engagements which dropped off here spent, over all that they did."""
    cost: float | None = None
    """Money for all visits, in the currency of the prices; None without prices, and when no call has a known one."""
    dropped_cost: float | None = None
    """Money that the engagements which dropped off here cost, over all that they did."""
    n_unpriced: int | None = None
    """Model calls inside `cost` whose price is not known; None without prices."""


class FunnelGroup(BaseModel):
    """The funnel of the engagements that have one value of what it is split by."""

    value: Any
    """None: nothing is known of these engagements."""
    total: int
    steps: list[FunnelStep]


class Funnel(BaseModel):
    """A funnel over an ordered list of steps. As the last expression of a notebook cell it shows itself."""

    order: list[str]
    total: int
    """Engagements considered."""
    steps: list[FunnelStep]
    mode: Mode = "visited"
    attempts: Attempts = "best"
    n_attempts: int | None = None
    """Attempts that were counted; None when engagements were."""
    confidence: float = 0.95
    groups: list[FunnelGroup] | None = None
    """With `by=`: one funnel a value, in order of the values; `steps` is over all of them."""

    _evidence: Any = PrivateAttr(default=None)
    _reading: Any = PrivateAttr(default=None)

    def backed_by(self, evidence: Evidence, reading: Reading) -> Funnel:
        """This funnel, with what it was counted from."""
        self._evidence, self._reading = evidence, reading
        return self

    def __eq__(self, other: object) -> bool:
        # Equal numbers are equal funnels, whichever engine counted them.
        return isinstance(other, Funnel) and self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]

    # --- data ---

    def frame(self) -> pl.DataFrame:
        """One row a step, in order: `k` (from 1) and the fields of `FunnelStep`; split, also `group`, a funnel each."""
        if self.groups is None:
            return _frame(self.steps)
        parts = [_frame(part.steps) for part in self.groups]
        if not parts:
            return _frame([]).insert_column(0, pl.Series("group", [], pl.String))
        values = pl.Series("group", [part.value for part in self.groups], strict=False)
        rows = pl.Series([k for k, part in enumerate(parts) for _ in range(part.height)], dtype=pl.UInt32)
        return pl.concat(parts).insert_column(0, values.gather(rows))

    def engagements(self, step: str | int, outcome: Outcome = "reached", *, group: Any = ...) -> pl.DataFrame:
        """The engagements behind a bar, as rows of the source's engagements.

        `step` is a name of the order, any of a step's alternatives, or its place from 1. `outcome`: reached; dropped,
        censored (as counted there); continued (got further); converted (reached this and the last step). `group` keeps
        one value of the split.
        """
        from ._funnel_behind import engagements_behind

        return engagements_behind(*self._behind(step, outcome, group))

    def executions(self, step: str | int, outcome: Outcome = "reached", *, group: Any = ...) -> pl.DataFrame:
        """The rows of the source's steps with which these engagements reached the step: where they were when they
        dropped. Parameters as for `engagements`; of alternatives, the one that was taken."""
        from ._funnel_behind import executions_behind

        return executions_behind(*self._behind(step, outcome, group))

    def times(self, step: str | int, outcome: Outcome = "reached", *, group: Any = ...) -> pl.DataFrame:
        """How long each engagement took to reach the step: `engagement_id`, `attempt`, `time_ms` from entering the
        funnel, `step_time_ms` from the step before, `wait_ms` between turns, `active_time_ms` without that."""
        from ._funnel_behind import times_behind

        return times_behind(*self._behind(step, outcome, group))

    def _behind(self, step: str | int, outcome: str, group: Any) -> tuple[Evidence, Reading, int, Outcome]:
        if self._evidence is None:
            raise InvalidArgumentError("this funnel was built from its numbers alone; ask funnel(…) again for more")
        if outcome not in get_args(Outcome):
            raise InvalidArgumentError(f"no outcome {outcome!r}; outcomes: {', '.join(get_args(Outcome))}")
        evidence: Evidence = self._evidence
        if group is not ...:
            from ._funnels import part_of

            if self.groups is None or group not in [part.value for part in self.groups]:
                known = "it is not split" if self.groups is None else [part.value for part in self.groups]
                raise InvalidArgumentError(f"no group {group!r} in this funnel: {known}")
            evidence = part_of(evidence, [part.value for part in self.groups].index(group))
        return evidence, self._reading, self._place(step), outcome  # type: ignore[return-value]

    def _place(self, step: str | int) -> int:
        if isinstance(step, int) and not isinstance(step, bool):
            if not 1 <= step <= len(self.order):
                raise InvalidArgumentError(f"no step {step} in this funnel; it has the steps 1 to {len(self.order)}")
            return step - 1
        if step not in self.order:
            holding = [k for k, name in enumerate(self.order) if step in name.split(" | ")]
            if len(holding) == 1:
                return holding[0]
            raise UnknownStepError.of(str(step), self.order, "this funnel")
        if self.order.count(step) > 1:
            places = ", ".join(str(k) for k, name in enumerate(self.order, start=1) if name == step)
            raise InvalidArgumentError(f"{step!r} comes more than once in this funnel; give its place: {places}")
        return self.order.index(step)

    # --- display ---

    @keeps_table
    def figure(self, *, theme: Theme = "light", kind: Literal["steps", "times"] = "steps") -> go.Figure:
        """The Plotly figure of it; split, one colour a group, as shares of those that entered.

        `kind="times"` shows how long it took to convert: a line for each step after the first (split: for each group at
        the last), the share of those that entered which had got there by then.
        """
        from ..figures import funnel_figure

        if kind == "times":
            return self._times_figure(theme)
        if kind != "steps":
            raise InvalidArgumentError(f"no figure of kind {kind!r}; kinds: steps, times")
        return funnel_figure(self.frame(), title=self._title(), theme=theme, confidence=self.confidence)

    def _times_figure(self, theme: Theme) -> go.Figure:
        from ..figures import times_figure
        from ..figures._convert import Curve
        from ._funnel_behind import times_to

        last = self._behind(len(self.order), "reached", ...)[0].goal
        curves = []
        if self.groups is None:
            for k in range(1, len(self.order)):
                evidence = self._behind(k + 1, "reached", ...)[0]
                curves.append(Curve(self.order[k], *times_to(evidence, k), [k, None]))
        else:
            for at, part in sorted(enumerate(self.groups), key=lambda one: -one[1].total):
                name = "(none)" if part.value is None else str(part.value)
                evidence = self._behind(last + 1, "reached", part.value)[0]
                curves.append(Curve(name, *times_to(evidence, last), [last, at]))
        title = self._title().replace("Funnel of", "Time to convert,", 1)
        title += "" if self.groups is None else f", to {self.order[last]}"
        return times_figure(curves, title=title, theme=theme)

    def widget(self, *, theme: Theme = "light", kind: Literal["steps", "times"] = "steps") -> FigureView:
        """The figure as a widget: a click on a mark selects the engagements that reached the step, as `.selected`."""
        from ._result import figure_view

        return figure_view(self, self.figure(theme=theme, kind=kind))

    def _picked(self, key: Any, group: Any) -> pl.DataFrame:
        place, at = key
        if at is None or self.groups is None:
            return self.engagements(place + 1)
        return self.engagements(place + 1, group=self.groups[at].value)

    def _title(self) -> str:
        if self.n_attempts is not None:
            return f"Funnel of {self.n_attempts:,} {_plural('attempt', self.n_attempts)}, {self.mode}"
        return f"Funnel of {self.total:,} {_plural('engagement', self.total)}, {self.mode}"

    def __repr__(self) -> str:
        from ._html import funnel_text

        return funnel_text(self._title(), self._rows())

    __str__ = __repr__

    def _rows(self) -> list[dict[str, Any]]:
        if self.groups is None:
            return [step.model_dump() for step in self.steps]
        return [{"group": part.value, **step.model_dump()} for part in self.groups for step in part.steps]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        import orjson

        from ._html import funnel_table

        return {
            "text/plain": repr(self),
            "text/html": funnel_table(self._title(), self._rows()),
            "application/vnd.plotly.v1+json": orjson.loads(self.figure().to_json()),
        }


def _plural(word: str, n: int) -> str:
    return word if n == 1 else f"{word}s"


def _frame(steps: list[FunnelStep]) -> pl.DataFrame:
    rows = [{"k": k, **step.model_dump()} for k, step in enumerate(steps, start=1)]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _dtype(annotation: str) -> Any:
    kinds = {"str": pl.String, "int": pl.Int64, "bool": pl.Boolean, "float": pl.Float64}
    return kinds[annotation.split(" ")[0]]


_SCHEMA: dict[str, Any] = {"k": pl.Int64} | {
    name: _dtype(str(annotation)) for name, annotation in FunnelStep.__annotations__.items()
}
