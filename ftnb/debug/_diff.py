"""Two engagements side by side: which steps they share, where they first part, and what differs in each step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import orjson

from ..analytics._kept import keeps_table
from ..core.canonical import Json
from ..core.errors import FtnbError, InvalidArgumentError
from ._align import Row, Side, align, rejoined
from ._diff_cost import Costs
from ._divergence import Divergence, divergence
from ._look import Look
from ._patch import Change, changes
from ._ran import Ran, uncollected
from ._state import UNKNOWN
from ._values import Values

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars as pl

    from ..figures.theme import Theme
    from ..widget.many import ManyView

_SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Pair:
    """One step in both engagements, or in one of them."""

    row: Row
    what: tuple[str, ...]
    """What differs: only_a, only_b; input, output, status, error, decision, calls. `shared`: a step before the point at
    which one engagement was forked from the other, which both have behind them; or, where one is the replay of a single
    step of the other, any of the rest."""
    _diff: EngagementDiff

    @property
    def side(self) -> Side:
        """both, a or b."""
        return self.row.side

    @property
    def same(self) -> bool:
        """Whether nothing differs but time, tokens and cost."""
        return not self.what or self.what == (_SHARED,)

    @property
    def label(self) -> str:
        """The step's name, with its visit."""
        return self.row.step.label()

    @property
    def input(self) -> list[Change]:
        """From the input in a to the input in b; empty when one has none."""
        return self._changes("state")

    @property
    def output(self) -> list[Change]:
        """From the output in a to the output in b; empty when one has none."""
        return self._changes("update")

    def _changes(self, which: str) -> list[Change]:
        a, b = self.row.a, self.row.b
        if a is None or b is None:
            return []
        return changes(getattr(a, which), getattr(b, which), a=self._diff.values[0], b=self._diff.values[1])

    def patch(self) -> list[dict[str, Any]]:
        """The RFC 6902 patch from the output in a to the output in b."""
        return [change.as_op() for change in self.output]

    def __repr__(self) -> str:
        return f"<{self.label}: {'same' if self.same else ', '.join(self.what)}>"


class EngagementDiff(Sequence[Pair]):
    """Two engagements, step by step. As the last expression of a cell it shows itself."""

    def __init__(
        self, a: Look, b: Look, *, ignore: Iterable[str] = (), exact: bool = False, prices: Any = None
    ) -> None:
        """See `diff`."""
        self.looks = (a, b)
        self.a, self.b = a.story.id, b.story.id
        keys = [ignore] if isinstance(ignore, str) else list(ignore)
        self.values: tuple[Values, Values] = (_values(a, keys, exact), _values(b, keys, exact))
        self.costs = Costs(prices, (a.story, b.story))
        """What the steps of both cost; `costs.currency`."""
        self._prints: dict[tuple[int, str, int], Any] = {}
        with uncollected():
            rows = align(
                a.story, b.story, lambda step: self._print(0, step, "state"), lambda step: self._print(1, step, "state")
            )
            left_out = self._left_out()
            if left_out is not None:
                rows = rejoined(rows, *(a.story, b.story) if left_out == "a" else (b.story, a.story))
            n_shared = 0 if left_out else self._n_shared(rows)
            self._pairs = [
                Pair(row, (_SHARED,) if at < n_shared or row.side == left_out else tuple(self._what(row)), self)
                for at, row in enumerate(rows)
            ]

    @overload
    def __getitem__(self, at: int) -> Pair: ...
    @overload
    def __getitem__(self, at: slice) -> list[Pair]: ...
    def __getitem__(self, at: int | slice) -> Pair | list[Pair]:
        return self._pairs[at]

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def same(self) -> bool:
        """Whether both did the same, step by step."""
        return self.first is None

    @cached_property
    def first(self) -> Divergence | None:
        """Where they first part; None: nowhere."""
        found = next((at for at, pair in enumerate(self._pairs) if not pair.same), None)
        return None if found is None else divergence(self, found)

    def state(self) -> list[Change]:
        """From the state in which a ended to that in which b did."""
        ends = []
        for look in self.looks:
            run = look.states.inside(None)
            ends.append({key: cell for key, cell in run[-1].after.items() if cell is not UNKNOWN} if run else {})
        return changes(ends[0], ends[1], a=self.values[0], b=self.values[1])

    # --- comparing ---

    def _n_shared(self, rows: list[Row]) -> int:
        """How many rows lie before the point at which one was forked from the other."""
        a, b = (look.story for look in self.looks)
        origin = "a" if b.parent == a.id else "b" if a.parent == b.id else None
        if origin is None:
            return 0
        return next((at for at, row in enumerate(rows) if row.side != origin), 0)

    def _left_out(self) -> Side | None:
        """Whose steps stand for themselves, as the other is the replay of one of them; None: nobody's."""
        a, b = (look.story for look in self.looks)
        if b.parent == a.id and b.branch == "replay":
            return "a"
        return "b" if a.parent == b.id and a.branch == "replay" else None

    def _print(self, side: int, step: Ran, which: str) -> Any:
        key = (side, which, step.place)
        if key not in self._prints:
            value: Json = getattr(step, which)
            self._prints[key] = None if value is None else self.values[side].print(value)
        return self._prints[key]

    def _what(self, row: Row) -> Iterator[str]:
        a, b = row.a, row.b
        if a is None or b is None:
            yield "only_b" if a is None else "only_a"
            return
        for which, name in (("state", "input"), ("update", "output")):
            if not self.values[0].is_same(getattr(a, which), self.values[1], getattr(b, which)):
                yield name
        if a.status != b.status:
            yield "status"
        if (a.error_type, a.error) != (b.error_type, b.error):
            yield "error"
        if a.decisions != b.decisions:
            yield "decision"
        if [(c.kind, c.name, c.model) for c in a.calls] != [(c.kind, c.name, c.model) for c in b.calls]:
            yield "calls"

    def cost(self, step: Ran | None) -> float | None:
        """What a step's model calls cost; None when it made none, or a model has no price."""
        return None if step is None else self.costs.of(step)

    # --- showing ---

    def frame(self, *, patch: bool = False) -> pl.DataFrame:
        """One row a step, in causal order; `patch` adds the JSON patches of input and output, as text.

        Columns: ns, name, visit, attempt, side (both, a, b), same, what, keys (of the output, that differ), then for a
        and b: step_id, started_ms (since its engagement's first step began), status, duration_ms, tokens, cost (null:
        no call of a model, or one without a price); deltas are b less a.
        """
        from ._diff_frame import diff_frame

        return diff_frame(self, patch=patch)

    def summary(self) -> dict[str, Any]:
        """Counts of steps: n_both, n_a, n_b, n_shared (before a fork, or not replayed), n_different; and of a and of b
        the status and, of the steps that are not shared, duration_ms, tokens and cost (of the calls that have a price;
        None: none has)."""
        found: dict[str, Any] = {
            "n_both": sum(pair.side == "both" for pair in self),
            "n_a": sum(pair.what == ("only_a",) for pair in self),
            "n_b": sum(pair.what == ("only_b",) for pair in self),
            "n_shared": sum(pair.what == (_SHARED,) for pair in self),
            "n_different": sum(not pair.same for pair in self),
        }
        shared = {id(pair.row.step) for pair in self if pair.what == (_SHARED,)}
        for name, look in zip("ab", self.looks, strict=True):
            steps = [step for step in look.story.steps if id(step) not in shared]
            tops = [step for step in steps if step.parent_id is None]
            found[f"status_{name}"] = look.story.status
            found[f"duration_ms_{name}"] = sum(step.duration_us or 0 for step in tops) / 1000
            found[f"tokens_{name}"] = sum(step.tokens for step in steps)
            found[f"cost_{name}"] = self.costs.total(steps)
        return found

    def payload(self) -> dict[str, Any]:
        """What a view of both needs: `runs`, the payload of each engagement, and `alignment`.

        An entry of the alignment is {"a": index of the step in the first run or None, "b": …, "side", "what"}.
        """
        from ..widget.payload import engagement_payload

        runs = []
        for look in self.looks:
            model = look.store.get_engagement(look.story.id)
            costs = {step.step_id: cost for step in look.story.steps if (cost := self.cost(step)) is not None}
            runs.append(engagement_payload(model, resolve=Values.of(look.store, model.id).resolve, costs=costs))
        places = [{step["id"]: at for at, step in enumerate(run["steps"])} for run in runs]
        alignment = [
            {
                "a": None if pair.row.a is None else places[0].get(pair.row.a.step_id),
                "b": None if pair.row.b is None else places[1].get(pair.row.b.step_id),
                "side": pair.side,
                "what": list(pair.what),
                **({"note": self._shared_how()} if pair.what == (_SHARED,) else {}),
            }
            for pair in self
        ]
        return {"runs": runs, "alignment": alignment}

    @keeps_table
    def figure(self, *, theme: Theme = "light") -> go.Figure:
        """Both on one axis of time, step under step: a above b, and what differs in colour; the rows of `frame()`."""
        from ..figures._paired import paired_figure

        names = (f"a …{self.a[-6:]}", f"b …{self.b[-6:]}")
        return paired_figure(self.frame(), names=names, theme=theme)

    def widget(self) -> ManyView:
        """The interactive view: one graph of both in two colours, and their steps in pairs on one axis of time."""
        from ..widget.compare import comparison_payload
        from ..widget.many import ManyView

        found = self.payload()
        names = [f"{look.story.name} …{look.story.id[-6:]}" for look in self.looks]
        return ManyView(
            comparison_payload(*found["runs"], alignment=found["alignment"], names=(names[0], names[1])),
            static=self._repr_html_(),
        )

    @property
    def text(self) -> str:
        """The answer as plain text."""
        facts = self.summary()
        lines = [
            f"a {self.a} ({self.looks[0].story.name}, {facts['status_a']})",
            f"b {self.b} ({self.looks[1].story.name}, {facts['status_b']})",
            (f"{facts['n_shared']} steps {self._shared_how()}, " if facts["n_shared"] else "")
            + f"{facts['n_both']} steps in both, {facts['n_a']} only in a, {facts['n_b']} only in b; "
            f"{facts['n_different']} differ; tokens {facts['tokens_a']:,} → {facts['tokens_b']:,}, "
            f"in steps {facts['duration_ms_a']:,.0f} → {facts['duration_ms_b']:,.0f} ms"
            + self.costs.line(facts["cost_a"], facts["cost_b"]),
        ]
        return "\n".join([*lines, "no difference" if self.first is None else self.first.text])

    def _shared_how(self) -> str:
        return "before the fork" if self._left_out() is None else "not replayed"

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        from ._diff_html import diff_html

        return diff_html(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        text = {"text/plain": self.text, "text/html": self._repr_html_()}
        try:
            return self.widget().shown_as(text)
        except (ImportError, FtnbError):  # no anywidget here, or no bundle: a display never breaks a cell
            return text


def _values(look: Look, ignore: list[str], exact: bool) -> Values:
    return Values.of(look.store, look.story.id, whole=True, ignore=ignore, exact=exact)


def diff(
    a: Any,
    b: Any,
    *,
    ignore: str | Iterable[str] = (),
    exact: bool = False,
    prices: Any = None,
) -> Any:
    """Compare two engagements, step by step, or two groups of engagements, in numbers.

    Engagements are what `tr.engagement(id)` and `ftnb.last()` give: the result is an `EngagementDiff`. Groups are
    opened traces, as `tr.where(version=1)` gives: the result is a `GroupDiff`. Ids of messages and of tool calls, and
    what a provider says beside an answer, count as equal unless `exact`; `ignore` names keys of states that do too.
    `prices` is as in `tr.costs()`: a price sheet, the path of one, or `{model: (prompt, completion)}` for a million
    tokens; without it, the list prices that come along. Raises InvalidArgumentError.
    """
    looks = [getattr(side, "look", None) for side in (a, b)]
    if all(callable(look) for look in looks):
        return EngagementDiff(a.look(), b.look(), ignore=ignore, exact=exact, prices=prices)
    if all(hasattr(side, "transitions") and hasattr(side, "store") for side in (a, b)):
        from ._groups import group_diff

        return group_diff(a, b, prices)
    raise InvalidArgumentError(
        "diff takes two engagements (tr.engagement(id), ftnb.last()) or two groups of them (tr.where(version=1), "
        f"tr.where(version=2)); got {type(a).__name__} and {type(b).__name__}"
    )


def dump(value: Any) -> str:
    """JSON text of a patch."""
    return orjson.dumps(value).decode()
