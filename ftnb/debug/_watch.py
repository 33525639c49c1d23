"""Who wrote what to a key of the state, and when something became true of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, overload

from ..core.canonical import Json, dumps
from ..core.errors import InvalidArgumentError, UnknownKeyError
from ._inspect import ABSENT, change_line
from ._look import Look
from ._patch import changes
from ._ran import Ran
from ._state import UNKNOWN, Cells, States, Superstep
from ._view import FAINT, STYLE, line

if TYPE_CHECKING:
    import polars as pl

_SHOWN = 40
MISSING: Any = object()
"""Stands for a part that a state does not have."""


@dataclass(frozen=True, eq=False)
class Write:
    """One write to a key of the state, or to a part of what is under it."""

    kind: str
    """write; input: what the run was begun with; outside: changed between steps, as `update_state` does."""
    ran: Ran | None
    """The step that wrote; None for the other kinds."""
    next: Ran
    """The first step that saw it, for what no step wrote; else the step itself."""
    changed: bool
    """Whether the value is another one than before."""
    beside: tuple[str, ...]
    """Other steps that wrote to the same key in the same superstep."""
    _before: Json
    _after: Json
    _states: States
    _path: tuple[str | int, ...]

    @property
    def at(self) -> int:
        """Where it stands among the records of the engagement: a step writes as it ends."""
        step = self.next if self.ran is None else self.ran
        return step.begun_at if self.ran is None or step.ended_at is None else step.ended_at

    @property
    def step_id(self) -> str | None:
        """Id of the step that wrote."""
        return None if self.ran is None else self.ran.step_id

    @property
    def before(self) -> Any:
        """The value before; `(absent)` when there was none."""
        return self._value(self._before)

    @property
    def after(self) -> Any:
        """The value after this write alone; `(absent)` when it was removed."""
        return self._value(self._after)

    def _value(self, cell: Json) -> Any:
        return ABSENT if cell is MISSING else self._states.value(cell)

    @property
    def who(self) -> str:
        """The step, or what else it was."""
        if self.ran is not None:
            return self.ran.label()
        if self.kind == "input":
            return f"the input of {self.next.ns}" if self.next.ns else "the input"
        return f"outside, before {self.next.label()}"

    def lines(self) -> list[str]:
        """What changed, in words."""
        before, after = (ABSENT if cell is MISSING else line(self._value(cell)) for cell in (self._before, self._after))
        whole = [f"{before} → {after}"]
        if UNKNOWN in (self._before, self._after) or MISSING in (self._before, self._after):
            return whole
        found = changes(self._before, self._after, a=self._states.values)
        if any(not change.path for change in found):
            return whole
        return [change_line(change) for change in found] or [f"{after} again"]


class Watch(Sequence[Write]):
    """Every write to a key, in order. As the last expression of a cell it shows itself."""

    def __init__(self, path: str, writes: Sequence[Write]) -> None:
        self.path = path
        self._writes = list(writes)

    @overload
    def __getitem__(self, at: int) -> Write: ...
    @overload
    def __getitem__(self, at: slice) -> list[Write]: ...
    def __getitem__(self, at: int | slice) -> Write | list[Write]:
        return self._writes[at]

    def __len__(self) -> int:
        return len(self._writes)

    @property
    def last(self) -> Write | None:
        """The last write; None when there was none."""
        return self._writes[-1] if self._writes else None

    def frame(self, *, values: bool = True) -> pl.DataFrame:
        """One row a write: step_id, name, ns, visit, attempt, turn, kind, changed, n_beside, before, after.

        `before` and `after` are JSON text, null for what is not there; `values=False` leaves them out, which is much
        faster for long lists. `n_beside` counts the other writers in the same superstep.
        """
        import polars as pl

        text = {"step_id": pl.String, "name": pl.String, "ns": pl.String}
        schema: dict[str, Any] = {**text, **dict.fromkeys(("visit", "attempt", "turn"), pl.Int64), "kind": pl.String}
        schema |= {"changed": pl.Boolean, "n_beside": pl.Int64}
        schema |= {"before": pl.String, "after": pl.String} if values else {}
        return pl.DataFrame([_row(write, values) for write in self._writes], schema=schema, orient="row")

    def __repr__(self) -> str:
        head = f"{self.path}: {len(self)} writes" if len(self) != 1 else f"{self.path}: 1 write"
        return "\n".join([head, *(f"  {text}" for text in self._lines())])

    def _lines(self) -> Iterator[str]:
        for write in self._writes[:_SHOWN]:
            beside = f" (beside {', '.join(write.beside)})" if write.beside else ""
            told = write.lines()
            yield f"{write.who}{beside}: {'; '.join(told[:3])}{f'; … {len(told) - 3} more' if len(told) > 3 else ''}"
        if len(self) > _SHOWN:
            yield f"… {len(self) - _SHOWN:,} more; .frame() has all"

    def _repr_html_(self) -> str:
        rows = []
        for write in self._writes[:_SHOWN]:
            beside = f'<div style="{FAINT}">beside {escape(", ".join(write.beside))}</div>' if write.beside else ""
            told = write.lines()
            text = "".join(f"<div><code>{escape(one)}</code></div>" for one in told[:5])
            more = f'<div style="{FAINT}">… {len(told) - 5:,} more</div>' if len(told) > 5 else ""
            faint = "" if write.changed else f' style="{FAINT}"'
            rows.append(
                f'<tr{faint}><td style="text-align:left;vertical-align:top;padding-right:14px">{escape(write.who)}'
                f'{beside}</td><td style="text-align:left">{text}{more}</td></tr>'
            )
        left = (
            f'<div style="{FAINT}">… {len(self) - _SHOWN:,} more; .frame() has all</div>' if len(self) > _SHOWN else ""
        )
        head = f"{self.path}: {len(self)} write{'' if len(self) == 1 else 's'}"
        return f'<div style="{STYLE}"><b>{escape(head)}</b><table>{"".join(rows)}</table>{left}</div>'


def _row(write: Write, values: bool) -> dict[str, Any]:
    step = write.next if write.ran is None else write.ran
    row: dict[str, Any] = {
        "step_id": write.step_id,
        "name": None if write.ran is None else step.name,
        "ns": step.ns,
        "visit": None if write.ran is None else step.visit,
        "attempt": None if write.ran is None else step.attempt,
        "turn": step.turn,
        "kind": write.kind,
        "changed": write.changed,
        "n_beside": len(write.beside),
    }
    if values:
        for name, cell, value in (("before", write._before, write.before), ("after", write._after, write.after)):
            row[name] = None if cell is MISSING or cell is UNKNOWN else dumps(value).decode()
    return row


def parse(path: object) -> tuple[str | int, ...]:
    """`a.b`, `items[3].name` and `items.3` as parts. Raises InvalidArgumentError."""
    if not isinstance(path, str) or not path.strip("."):
        raise InvalidArgumentError(
            f"a key of the state is a text, as 'budget', 'plan.title' or 'items[3]'; got {path!r}"
        )
    parts = [part for part in path.replace("[", ".").replace("]", "").split(".") if part]
    return tuple(int(part) if part.isdigit() and at else part for at, part in enumerate(parts))


def watch(look: Look, path: str) -> Watch:
    """Every write to the key (or the part of it) at `path`, in all graphs of an engagement.

    Of a key each write counts, of a part of it those that changed it. Raises UnknownKeyError, InvalidArgumentError.
    """
    parts = parse(path)
    found = _Writes(look.states, path, parts)
    return Watch(path, sorted(found.all(), key=lambda write: write.at))


class _Writes:
    """The search for writes to one path."""

    def __init__(self, states: States, path: str, parts: tuple[str | int, ...]) -> None:
        self.states, self.path = states, path
        self.key, self.inner = str(parts[0]), parts[1:]
        self.known: set[str] = set()
        """What there is beside the first part that was never there."""
        self.is_there = False

    def all(self) -> list[Write]:
        found = [write for run in self.states.runs() for write in self._of_run(run)]
        if not found and not self.is_there:
            where = f"the state of engagement {self.states.story.id}"
            missing, at = self._missing()
            raise UnknownKeyError.of(missing, self.known, f"{at!r} in {where}" if at else where)
        return found

    def _of_run(self, run: list[Superstep]) -> Iterator[Write]:
        last: Cells | None = self._around(run[0]) if run else None
        for one in run:
            is_given = last is None or one.steps[0].ns != "" or not one.entry
            is_given = is_given or any(key == self.key for key, _ in one.entry)
            if one.is_first and self.key in one.before and is_given:
                yield from self._made("input", one, None, last or {}, one.before)
            elif last is not None and self.key in one.before:
                yield from self._outside(one, last)
            writers = {id(step): step for step, _ in one.written(self.key)}
            for step in writers.values():
                beside = tuple(other.label() for other in writers.values() if other is not step)
                after = {**one.before, **self.states.alone(step, one)}
                yield from self._made("write", one, step, one.before, after, beside)
            self._learn(one)
            last = one.after

    def _around(self, one: Superstep) -> Cells | None:
        """What the graph around a graph had, as the node that it is inside of began; None at the top."""
        outer = self.states.story.by_id.get(one.steps[0].parent_id or "")
        among = None if outer is None else self.states.of(outer)
        return None if among is None else among.before

    def _outside(self, one: Superstep, last: Cells) -> Iterator[Write]:
        before, after = last.get(self.key, MISSING), one.before[self.key]
        if UNKNOWN not in (before, after) and before != after:
            yield from self._made("outside", one, None, last, one.before)

    def _made(
        self, kind: str, one: Superstep, step: Ran | None, before: Cells, after: Cells, beside: tuple[str, ...] = ()
    ) -> Iterator[Write]:
        left, right = self._at(before.get(self.key, MISSING)), self._at(after.get(self.key, MISSING))
        changed = left is not right and (left is MISSING or right is MISSING or self._differ(left, right))
        if left is MISSING and right is MISSING:
            return
        if changed or (kind == "write" and not self.inner):
            yield Write(kind, step, step or one.steps[0], changed, beside, left, right, self.states, self.inner)

    def _differ(self, left: Json, right: Json) -> bool:
        if left is UNKNOWN or right is UNKNOWN:
            return True
        values = self.states.values
        return bool(left != right) and values.print(left) != values.print(right)

    def _at(self, cell: Json) -> Json:
        """The part at the inner path; MISSING when there is none."""
        values = self.states.values
        for part in self.inner:
            if cell is MISSING or cell is UNKNOWN:
                return cell
            items = values.items(cell)
            if items is not None:
                cell = items[part] if isinstance(part, int) and part < len(items) else MISSING
                continue
            entries: Mapping[str, Json] = values.entries(cell) or {}
            cell = entries.get(str(part), MISSING)
        return cell

    # --- what to say when there is nothing ---

    def _learn(self, one: Superstep) -> None:
        for cells in (one.before, one.after):
            self.is_there = self.is_there or (self.key in cells and self._at(cells[self.key]) is not MISSING)
            self.known.update(cells)
        self.is_there = self.is_there or (not self.inner and self.key in self.states.channels(one.steps[0]))
        self.known.update(self.states.channels(one.steps[0]))

    def _missing(self) -> tuple[str, str]:
        """The first part of the path that was never there, and the path to it; leaves in `known` what is beside it."""
        if self.key not in self.known:
            return self.key, ""
        cells = [cells[self.key] for run in self.states.runs() for one in run for cells in (one.before, one.after)
                 if cells.get(self.key, UNKNOWN) is not UNKNOWN]  # fmt: skip
        for depth, part in enumerate(self.inner):
            opened = [self._part(cell, self.inner[:depth]) for cell in cells]
            if all(self._part(cell, self.inner[: depth + 1]) is MISSING for cell in cells):
                self.known, most = set(), 0
                for cell in opened:
                    n_items = None if cell is MISSING else self.states.values.length(cell)
                    self.known |= set(self.states.values.entries(cell) or ()) if cell is not MISSING else set()
                    most = max(most, n_items or 0)
                self.known |= {f"0 … {most - 1}"} if most else set()
                return str(part), ".".join(map(str, (self.key, *self.inner[:depth])))
        return self.path, ""

    def _part(self, cell: Json, parts: tuple[str | int, ...]) -> Json:
        whole, self.inner = self.inner, parts
        try:
            return self._at(cell)
        finally:
            self.inner = whole


def first(look: Look, predicate: Callable[[dict[str, Any]], Any], ns: str = "") -> Ran | None:
    """The first step after which `predicate` holds of the state; None: it never does.

    The state is that of the graph at the top, or of the one inside the node `ns`, as a plain dict. Of steps that ran
    side by side it is the one whose own writes suffice, else the last. Raises InvalidArgumentError when the predicate
    raises, or is none.
    """
    if not callable(predicate):
        raise InvalidArgumentError(f"first() takes a function of the state, as lambda state: …; got {predicate!r}")
    states = look.states
    at_all = False
    for run in states.runs():
        for one in run:
            if one.steps[0].ns != ns:
                continue
            at_all = True
            if not _holds(predicate, states.resolved(one.after), one.steps[-1]):
                continue
            writers = [step for step, _ in one.writes]
            for step in writers if len(writers) > 1 else ():
                alone = {**one.before, **states.alone(step, one)}
                if _holds(predicate, states.resolved(alone), step):
                    return step
            return (writers or one.steps)[-1]
    if not at_all and ns:
        there = sorted({step.ns for step in look.story.steps if step.ns})
        raise InvalidArgumentError(f"no graph ran inside {ns!r}; there are: {', '.join(there) or 'none'}")
    return None


def _holds(predicate: Callable[[dict[str, Any]], Any], state: dict[str, Any], step: Ran) -> bool:
    try:
        return bool(predicate(state))
    except Exception as error:
        keys = ", ".join(state) or "none"
        hint = " (not every key is there from the start: state.get(…))" if isinstance(error, KeyError) else ""
        raise InvalidArgumentError(
            f"the predicate raised {type(error).__name__}: {error} on the state after {step.label()!r}, whose keys "
            f"are: {keys}{hint}"
        ) from error
