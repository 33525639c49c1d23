"""What a step was given, what it returned, and what it changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from ..core.canonical import dumps
from ..core.errors import NotRecordedError
from ._look import Look
from ._patch import Change, changes, python_value, shown_path
from ._ran import Ran
from ._state import UNKNOWN, Cells, Superstep
from ._view import FAINT, STYLE, ShownDict, html, line, shown

if TYPE_CHECKING:
    import polars as pl

_SIGNS = {"add": "+", "remove": "−", "replace": "~"}
_SHOWN = 40


def given(look: Look, step: Ran) -> Any:
    """What the node was given. Raises NotRecordedError."""
    return shown(look.read(step, step.state, "input"))


def returned(look: Look, step: Ran) -> Any:
    """What the node returned; None when it returned nothing. Raises NotRecordedError when it cannot be told."""
    if step.update is None:
        if step.withheld or step.dropped:
            look.ensure(step, None, "output")
        return None
    return shown(look.read(step, step.update, "output"))


def state_before(look: Look, step: Ran) -> ShownDict:
    """The graph's state as the step's superstep began. Raises NotRecordedError."""
    return ShownDict(look.states.resolved(_superstep(look, step).before))


def state_after(look: Look, step: Ran) -> ShownDict:
    """The graph's state after the step's superstep, with all that was written in it. Raises NotRecordedError."""
    return ShownDict(look.states.resolved(_superstep(look, step).after))


def _superstep(look: Look, step: Ran) -> Superstep:
    if step.state is None or step.withheld:
        look.ensure(step, None if step.withheld else step.state, "state")
    found = look.states.of(step)
    if found is None:
        raise NotRecordedError(
            f"step {step.label()!r} is a task that its entrypoint called: it has no graph state; .input is what it was "
            "called with, .output what it returned"
        )
    if not found.before and not found.after and look.states.values.entries(step.state) is None:
        raise NotRecordedError(
            f"the graph of step {step.label()!r} has no state with keys; .input is what it was given, .output what it "
            "returned"
        )
    return found


@dataclass(frozen=True, eq=False)
class StateDiff(Mapping[str, tuple[Any, Any]]):
    """What a step changed in the state: a mapping {key: (before, after)}, a patch, and words.

    Its own writes only, with the graph's reducers applied: what ran beside it is left out.
    """

    title: str
    changes: tuple[Change, ...]
    """One for each operation of the patch, in order."""
    _before: Mapping[str, Any]
    _after: Mapping[str, Any]
    unknown: tuple[str, ...] = ()
    """Keys that it wrote and whose value then is not on record: a reducer of the graph's own merged it, and that graph
    is not alive in this process."""

    @property
    def patch(self) -> list[dict[str, Any]]:
        """RFC 6902 operations on the canonical JSON of the state."""
        return [change.as_op() for change in self.changes]

    def __getitem__(self, key: str) -> tuple[Any, Any]:
        if key not in self._changed:
            raise KeyError(key)
        return self._before.get(key, ABSENT), self._after.get(key, ABSENT)

    @property
    def _changed(self) -> dict[str, None]:
        return dict.fromkeys([str(change.path[0]) for change in self.changes if change.path])

    def __iter__(self) -> Iterator[str]:
        return iter(self._changed)

    def __len__(self) -> int:
        return len(self._changed)

    def frame(self) -> pl.DataFrame:
        """One row an operation: op, path (JSON pointer), key, where, before, after (JSON text; null: none)."""
        import polars as pl

        rows = [
            {
                "op": change.op,
                "path": op["path"],
                "key": str(change.path[0]) if change.path else "",
                "where": shown_path(change.path),
                "before": None if change.op == "add" else dumps(change.before).decode(),
                "after": None if change.op == "remove" else dumps(change.after).decode(),
            }
            for change, op in zip(self.changes, self.patch, strict=True)
        ]
        return pl.DataFrame(
            rows, schema=dict.fromkeys(("op", "path", "key", "where", "before", "after"), pl.String), orient="row"
        )

    def __repr__(self) -> str:
        lines = [self.title, *(f"  {text}" for text in self._lines())]
        return "\n".join(lines)

    def _lines(self) -> list[str]:
        if not self.changes and not self.unknown:
            return ["nothing changed"]
        lines = [change_line(change) for change in self.changes[:_SHOWN]]
        if len(self.changes) > _SHOWN:
            lines.append(f"… {len(self.changes) - _SHOWN:,} more; .frame() has all")
        return lines + [f"? {key}: not recorded, as a reducer of the graph's own merged it" for key in self.unknown]

    def _repr_html_(self) -> str:
        return changes_html(self.title, self.changes, [f"? {key}: not recorded" for key in self.unknown])


ABSENT: Any = "(absent)"
"""Stands for the value of a key that a state does not have."""


def change_line(change: Change) -> str:
    """`~ budget: 100 → 80`, `+ messages[3]: assistant: …`."""
    place, sign = shown_path(change.path), _SIGNS[change.op]
    before, after = line(python_value(change.before)), line(python_value(change.after))
    if change.op == "replace":
        return f"{sign} {place}: {before} → {after}"
    return f"{sign} {place}: {after if change.op == 'add' else before}"


def changes_html(title: str, found: tuple[Change, ...], more: list[str] | None = None) -> str:
    """A patch as a table."""
    rows = []
    for change in found[:_SHOWN]:
        before = "" if change.op == "add" else f'<div style="{FAINT}">{html(python_value(change.before))}</div>'
        after = "" if change.op == "remove" else html(python_value(change.after))
        rows.append(
            f'<tr><td style="vertical-align:top;padding-right:8px">{_SIGNS[change.op]}</td>'
            f'<td style="vertical-align:top;text-align:left;padding-right:12px"><code>{escape(shown_path(change.path))}'
            f'</code></td><td style="vertical-align:top;text-align:left;padding-right:12px">{before}</td>'
            f'<td style="vertical-align:top;text-align:left">{after}</td></tr>'
        )
    left = len(found) - _SHOWN
    notes = [*(more or []), *([f"… {left:,} more; .frame() has all"] if left > 0 else [])]
    if not found and not notes:
        notes = ["nothing changed"]
    below = "".join(f'<div style="{FAINT}">{escape(note)}</div>' for note in notes)
    table = f'<table style="border-collapse:collapse;{STYLE}">{"".join(rows)}</table>' if rows else ""
    return f'<div style="{STYLE}"><b>{escape(title)}</b>{table}{below}</div>'


def diff(look: Look, step: Ran) -> StateDiff:
    """What a step changed. Raises NotRecordedError."""
    among = look.states.of(step) if step.state is not None and not step.withheld else None
    if among is None:
        look.ensure(step, None if step.withheld else step.state, "state")
    values = look.story.values
    if among is None or (not among.before and not among.after):  # no keys: what came in against what went out
        found = tuple(changes(step.state, step.update, a=values)) if step.update is not None else ()
        title = f"{step.label()}: from its input to its output"
        return StateDiff(title, found, {}, {})
    after = look.states.alone(step, among)
    known: Cells = {key: after[key] for key in sorted(after) if after[key] is not UNKNOWN}
    before = {key: among.before[key] for key in known if among.before.get(key, UNKNOWN) is not UNKNOWN}
    found = tuple(changes(before, known, a=values))
    return StateDiff(
        f"{step.label()} changed",
        found,
        look.states.resolved(before),
        look.states.resolved(known),
        tuple(key for key in after if key not in known),
    )
