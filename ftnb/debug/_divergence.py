"""Where two engagements first part, told in words."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from ._inspect import change_line
from ._look import Look
from ._ran import Ran

if TYPE_CHECKING:
    from ._diff import EngagementDiff, Pair

_SHOWN_CHANGES = 6


@dataclass(frozen=True, eq=False)
class Divergence:
    """Where two engagements first part."""

    pair: Pair
    before: Pair | None
    """The last step that both ran alike, on the way here."""
    text: str

    @property
    def name(self) -> str:
        """Name of the step."""
        return self.pair.row.step.name

    @property
    def what(self) -> tuple[str, ...]:
        """What differs there."""
        return self.pair.what

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.text)}</pre>"


def divergence(diff: EngagementDiff, at: int) -> Divergence:
    pair = diff[at]
    if pair.side == "both":
        return Divergence(pair, diff[at - 1] if at else None, _in_step(diff, pair))
    # Who ran another step, and after what: that step's routing is where they parted.
    by_step = {id(step): one for one in diff for step in (one.row.a, one.row.b) if step is not None}
    story = diff.looks[0 if pair.side == "a" else 1].story
    causes = [story.by_id[cause] for cause in pair.row.step.triggers if cause in story.by_id]
    before = by_step.get(id(causes[0])) if causes else None
    return Divergence(pair, before, _on_the_way(diff, pair, before))


def _in_step(diff: EngagementDiff, pair: Pair) -> str:
    a, b = pair.row.a, pair.row.b
    assert a is not None
    assert b is not None
    lines = [f"they first part in {pair.label}: {' and '.join(pair.what)} differ{'s' if len(pair.what) == 1 else ''}"]
    for name, found in (("input", pair.input if "input" in pair.what else []), ("output", pair.output)):
        lines += [f"  {name} {change_line(change)}" for change in found[:_SHOWN_CHANGES]]
        if len(found) > _SHOWN_CHANGES:
            lines.append(f"  {name} … {len(found) - _SHOWN_CHANGES:,} more")
    if "status" in pair.what or "error" in pair.what:
        lines += [f"  {side}: {step.status}{_failure(step)}" for side, step in (("a", a), ("b", b))]
    if "decision" in pair.what:
        for side, step, look in (("a", a, diff.looks[0]), ("b", b, diff.looks[1])):
            lines.append(f"  {side}: {_said(step)}, so {_next(look, step)} came next")
    if "calls" in pair.what:
        lines += [
            f"  {side} called: {', '.join(call.model or call.name for call in step.calls) or 'nothing'}"
            for side, step in (("a", a), ("b", b))
        ]
    return "\n".join(lines)


def _failure(step: Ran) -> str:
    return f", {step.error_type}: {step.error}" if step.error_type or step.error else ""


def _next(look: Look, step: Ran) -> str:
    """Names of the steps that a step led to."""
    return ", ".join(dict.fromkeys(one.full for one in look.story.leads_to.get(step.step_id, ()))) or "nothing"


def _said(step: Ran) -> str:
    return ", ".join(f"router {name!r} said {said!r}" for name, said in step.decisions.items()) or "no router spoke"


def _on_the_way(diff: EngagementDiff, pair: Pair, before: Pair | None) -> str:
    mine, other = pair.side, "b" if pair.side == "a" else "a"
    if before is None or before.side != "both":
        return f"they first part at {pair.label}: only {mine} runs it"
    steps = {"a": before.row.a, "b": before.row.b}
    nexts = {}
    for name, look in zip("ab", diff.looks, strict=True):
        step = steps[name]
        nexts[name] = "nothing" if step is None else _next(look, step)
    text = f"they first part after {before.label}: a goes on with {nexts['a']}, b with {nexts['b']}"
    if nexts["a"] == nexts["b"]:
        text = f"they first part after {before.label}: only {mine} runs {pair.label}, {other} does not"
    said = {name: step.decisions for name, step in steps.items() if step is not None and step.decisions}
    if len(said) == 2 and said["a"] != said["b"]:
        text += "".join(f"\n  {name}: {_said(step)}" for name, step in steps.items() if step is not None)
    return text
