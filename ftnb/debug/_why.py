"""Why a step ran: the edge that led to it, what the router said, and the steps before it, back to the start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from ..core.errors import NotRecordedError
from ..core.model import Engagement
from ._inspect import change_line, diff
from ._look import Look
from ._ran import Ran
from ._view import FAINT, STYLE, line

if TYPE_CHECKING:
    import polars as pl

_MAX_CHANGES = 4
_MAX_CHAIN = 12


@dataclass(frozen=True)
class Cause:
    """One step that led to another."""

    step_id: str
    """The step that was led to."""
    step: str
    cause_id: str | None
    """The step that led to it; None: the start of the graph, or of the graph inside a step."""
    cause: str
    kind: str
    """static, conditional, send, join, goto, resume, error; start, call; unknown."""
    router: str | None = None
    said: Any = None
    """What the router returned, or the part of it that leads here."""
    text: str = ""
    """The same in words."""
    wrote: tuple[str, ...] = ()
    """What the causing step changed in the state, in words."""
    depth: int = 0
    """0: led to the step that was asked about; 1: led to one of those …"""


@dataclass(frozen=True, eq=False)
class Why:
    """Why a step ran."""

    title: str
    causes: tuple[Cause, ...]
    """What led to it directly."""
    chain: tuple[Cause, ...]
    """Everything that led to it, nearest first."""

    @property
    def text(self) -> str:
        """The answer as plain text."""
        lines = [self.title]
        for cause in self.causes:
            lines.append(f"  {cause.text}")
            lines += [f"      {cause.cause} changed {change}" for change in cause.wrote]
        before = [cause for cause in self.chain if cause.depth]
        if before:
            lines.append("before that")
            lines += [f"  {cause.step}: {cause.text}" for cause in before[:_MAX_CHAIN]]
            if len(before) > _MAX_CHAIN:
                lines.append(f"  … {len(before) - _MAX_CHAIN:,} more; .frame() has all")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        items = []
        for cause in self.causes:
            wrote = "".join(f"<div><code>{escape(change)}</code></div>" for change in cause.wrote)
            about = f'<div style="{FAINT}">{escape(cause.cause)} changed{wrote}</div>' if wrote else ""
            items.append(f"<li>{escape(cause.text)}{about}</li>")
        before = [cause for cause in self.chain if cause.depth]
        rows = "".join(f"<li>{escape(cause.step)}: {escape(cause.text)}</li>" for cause in before[:50])
        left = f"<li>… {len(before) - 50:,} more; .frame() has all</li>" if len(before) > 50 else ""
        chain = f"<details><summary>before that: {len(before):,}</summary><ol>{rows}{left}</ol></details>"
        body = f"<ul>{''.join(items)}</ul>{chain if before else ''}"
        return f'<div style="{STYLE}"><b>{escape(self.title)}</b>{body}</div>'

    def frame(self) -> pl.DataFrame:
        """One row a cause, nearest first: depth, step_id, step, cause_id, cause, kind, router, said, text."""
        import polars as pl

        columns = ("step_id", "step", "cause_id", "cause", "kind", "router", "said", "text")
        rows = [
            {
                "depth": one.depth,
                **{name: getattr(one, name) for name in columns},
                "said": None if one.said is None else str(one.said),
            }
            for one in self.chain
        ]
        return pl.DataFrame(rows, schema={"depth": pl.Int64, **dict.fromkeys(columns, pl.String)}, orient="row")


def why(look: Look, step: Ran, engagement: Engagement) -> Why:
    """Why `step` ran; `engagement` is the tree that it belongs to."""
    asking = _Asking(look, engagement)
    direct = tuple(asking.causes(step, 0, with_changes=True))
    chain = list(direct)
    seen, level = {step.step_id}, [step]
    depth = 0
    while level:
        depth += 1
        before = [look.story.by_id[cause] for one in level for cause in one.triggers if cause in look.story.by_id]
        level = [one for one in dict.fromkeys(before) if one.step_id not in seen]
        seen.update(one.step_id for one in level)
        for one in level:
            chain += asking.causes(one, depth, with_changes=False)
    turn = f", turn {step.turn}" if engagement.n_turns > 1 else ""
    return Why(f"{step.label()}{turn} ran because", direct, tuple(chain))


class _Asking:
    """One question in progress."""

    def __init__(self, look: Look, engagement: Engagement) -> None:
        self.look, self.story = look, look.story
        self.states = look.states
        self._engagement = engagement
        self._edges = {(edge.source, edge.target, edge.condition) for edge in engagement.topology.edges}

    def causes(self, step: Ran, depth: int, *, with_changes: bool) -> Iterator[Cause]:
        """What led to `step` directly."""
        known = [cause for cause in step.triggers if cause in self.story.by_id]
        if not known:
            yield self._begun(step, depth)
        for cause_id in known:
            cause = self.story.by_id[cause_id]
            kind = step.routes.get(cause_id, "unknown")
            router, said = self._decision(cause, step) if kind in ("conditional", "send") else (None, None)
            yield Cause(
                step.step_id,
                step.label(),
                cause_id,
                cause.label(),
                kind,
                router,
                said,
                self._words(step, cause, kind, router, said) + self._retry(step, kind),
                self._changes(cause) if with_changes else (),
                depth,
            )

    def _begun(self, step: Ran, depth: int) -> Cause:
        """Of a step that no other led to."""
        outer = self.story.by_id.get(step.parent_id or "")
        place = [one for one in self.story.inside.get(step.parent_id, ()) if not one.is_called]
        if step.is_called and outer is not None:
            return self._start(step, depth, "call", outer, f"{outer.label()} called it")
        among = None if step.is_called else self.states.of(step)
        if place and (among is None or not among.is_first) and place[0] is not step:
            return self._start(step, depth, "unknown", None, "what led to it is not on record")
        if outer is None and self.story.parent is not None and step.turn == 1:
            return self._start(step, depth, "start", None, f"engagement {self.story.parent} was forked here")
        where = "the graph begins with it" if outer is None else f"the graph inside {outer.label()} begins with it"
        return self._start(step, depth, "start", outer, where + self._start_router(step) + self._retry(step, "start"))

    def _start(self, step: Ran, depth: int, kind: str, outer: Ran | None, text: str) -> Cause:
        name = "start" if outer is None else outer.label()
        return Cause(
            step.step_id, step.label(), None if outer is None else outer.step_id, name, kind, text=text, depth=depth
        )

    def _start_router(self, step: Ran) -> str:
        code = self.look.code_of(step) or {}
        if step.ns:
            return ""
        names = [entry["router"] for entry in code.get("routers", ()) if not entry["node"]]
        return f", as the router {', '.join(map(repr, names))} after the start said" if names else ""

    def _retry(self, step: Ran, kind: str) -> str:
        if step.attempt == 1 or kind == "resume":
            return ""
        earlier = [one for one in self.story.steps if _is_earlier_attempt(one, step)]
        why_again = f": {earlier[-1].error_type or 'it failed'}: {earlier[-1].error}" if earlier else ""
        return f" (attempt {step.attempt}, after attempt {step.attempt - 1} failed{line(why_again)[1:-1]})"

    def _decision(self, cause: Ran, step: Ran) -> tuple[str | None, Any]:
        """The router that led from `cause` to `step`, and what it said; None where it is not on record."""
        for router, said in cause.decisions.items():
            for label in said if isinstance(said, list) else [said]:
                if label in (step.name, f"Send({step.name})"):
                    return router, label
                if (cause.full, step.full, str(label)) in self._edges:
                    return router, label
        if len(cause.decisions) == 1:
            return next(iter(cause.decisions.items()))
        return None, None

    def _words(self, step: Ran, cause: Ran, kind: str, router: str | None, said: Any) -> str:
        name = cause.label()
        if kind == "static":
            return f"{name} leads to it: an edge of the graph"
        if kind == "conditional":
            return f"{name} leads to it: " + (
                "a conditional edge; what its router said is not on record"
                if router is None
                else f"its router {router!r} said {said!r}"
            )
        if kind == "send":
            return f"{name} sent it" + self._send(step, cause, router)
        if kind == "goto":
            return f"{name} returned Command(goto={step.name!r})"
        if kind == "join":
            return f"{name} has ended: one of {len(step.triggers)} that it waits for"
        if kind == "resume":
            return f"it goes on where {name} stopped at an interrupt{self._answer(step)}"
        if kind == "error":
            return f"{name} failed, and it handles that: {cause.error_type}: {line(cause.error)}"
        return f"{name} came before it; how it led here is not on record"

    def _send(self, step: Ran, cause: Ran, router: str | None) -> str:
        sent = [one for one in self.story.leads_to.get(cause.step_id, ()) if one.name == step.name and one.attempt == 1]
        mine = [one for one in sent if one.visit == step.visit]
        number = f", number {sent.index(mine[0]) + 1} of {len(sent)}" if mine and len(sent) > 1 else ""
        by = f" by its router {router!r}" if router is not None else " by a Command or a list of Sends"
        values = self.story.values
        given = "" if step.state is None or step.withheld else f", with {line(values.resolve(step.state))}"
        return f"{by}{number}{given}"

    def _answer(self, step: Ran) -> str:
        model = next((one for one in self._engagement.steps if one.id == step.step_id), None)
        given = [event.payload for event in model.events if event.subtype == "resume"] if model is not None else []
        if not given:
            return ""
        answer: Mapping[Any, Any] = given[-1]
        return f"; the answer was {line(answer.get('value', answer))}"

    def _changes(self, cause: Ran) -> tuple[str, ...]:
        try:
            found = diff(self.look, cause).changes
        except NotRecordedError:
            return ()
        shown = [change_line(change) for change in found[:_MAX_CHANGES]]
        return (*shown, *([f"… and {len(found) - _MAX_CHANGES:,} more"] if len(found) > _MAX_CHANGES else []))


def _is_earlier_attempt(one: Ran, step: Ran) -> bool:
    return (one.ns, one.name, one.visit) == (step.ns, step.name, step.visit) and one.attempt == step.attempt - 1
