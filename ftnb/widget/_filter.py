"""Which steps a filter picks out: the twin of js/src/filter.ts, over the whole of what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from ..core.canonical import to_json
from ..core.errors import InvalidArgumentError
from ..core.model import Engagement, EventKind, Step, StepEvent, StepStatus
from .graph import is_failing
from .preview import Resolve
from .protocol import Filter

FIELDS = tuple(Filter.__annotations__)
_EVENT_STATUSES = ("failed", "completed")


def make_filter(engagement: Engagement, given: dict[str, Any]) -> Filter | None:
    """The filter that keywords ask for; None when they ask nothing. Raises InvalidArgumentError."""
    asked = {key: str(getattr(value, "value", value)) for key, value in given.items() if value is not None}
    for key in asked:
        if key not in FIELDS:
            raise InvalidArgumentError(f"filter({key}=…): {_there_is(key, FIELDS)}")
    about_events = any(key in asked for key in ("kind", "model", "tool"))
    _check(asked, "kind", [kind.value for kind in EventKind])
    _check(asked, "status", _EVENT_STATUSES if about_events else [status.value for status in StepStatus])
    _check(asked, "name", [step.name for step in engagement.steps])
    _check(asked, "ns", [step.ns for step in engagement.steps])
    if "turn" in asked and not asked["turn"].isdecimal():
        raise InvalidArgumentError(
            f"filter(turn={given['turn']!r}): a turn is a number, from 1 to {engagement.n_turns}"
        )
    if not any(asked.values()):
        return None
    return Filter(
        text=asked.get("text"),
        name=asked.get("name"),
        status=asked.get("status"),
        ns=asked.get("ns"),
        turn=float(asked["turn"]) if "turn" in asked else None,
        kind=asked.get("kind"),
        model=asked.get("model"),
        tool=asked.get("tool"),
    )


def _check(asked: dict[str, str], key: str, known: Iterable[str]) -> None:
    names = list(dict.fromkeys(known))
    if key in asked and asked[key] not in names:
        raise InvalidArgumentError(f"filter({key}={asked[key]!r}): {_there_is(asked[key], names)}")


def _there_is(asked: str, known: Iterable[str]) -> str:
    names = list(known)
    shown = ", ".join(repr(name) for name in names[:20]) + (" …" if len(names) > 20 else "")
    near = get_close_matches(asked, names, n=1, cutoff=0.5)
    return f"there is {shown or 'none'}" + (f". Did you mean {near[0]!r}?" if near else "")


def pick(engagement: Engagement, asked: Filter, resolve: Resolve | None) -> list[Step]:
    """The steps that `asked` picks, in recorded order."""
    fits = [step for step in engagement.steps if _fits(step, asked)]
    return [step for step in fits if not asked["text"] or contains(step, asked["text"], resolve)]


def _fits(step: Step, asked: Filter) -> bool:
    if asked["name"] is not None and step.name != asked["name"]:
        return False
    if asked["ns"] is not None and step.ns != asked["ns"]:
        return False
    if asked["turn"] is not None and step.turn != asked["turn"]:
        return False
    if any(asked[key] is not None for key in ("kind", "model", "tool")):
        return any(_event_fits(event, asked) for event in step.events)
    status = asked["status"]
    return status is None or step.status.value == status or (status == "failed" and is_failing(step))


def _event_fits(event: StepEvent, asked: Filter) -> bool:
    if asked["kind"] is not None and event.kind.value != asked["kind"]:
        return False
    if asked["tool"] is not None and not (event.kind is EventKind.TOOL_CALL and event.name == asked["tool"]):
        return False
    model = event.model or event.name
    if asked["model"] is not None and not (event.kind is EventKind.LLM_CALL and model == asked["model"]):
        return False
    return asked["status"] is None or (asked["status"] == "failed") is (event.error is not None)


def contains(step: Step, text: str, resolve: Resolve | None) -> bool:
    """Whether `text` occurs anywhere in what was recorded of `step`, whatever the case."""
    wanted = text.lower()
    return any(wanted in part.lower() for part in _texts(step, resolve))


def _texts(step: Step, resolve: Resolve | None) -> Iterator[str]:
    """Every text of the step, the cheap ones first."""
    yield from filter(None, (step.name, step.ns, step.error))
    for event in step.events:
        yield from filter(None, (event.name, event.error, event.model))
    for event in step.events:
        yield from _leaves(to_json(event.payload))
    if step.extraction:
        yield from _leaves(to_json(step.extraction.values))
    for ref in (step.state_ref, step.update_ref):
        if ref is not None:
            yield from _leaves(to_json(_resolved(ref, resolve)))


def _resolved(ref: Any, resolve: Resolve | None) -> Any:
    try:
        return ref if resolve is None else resolve(ref)
    except Exception:  # what cannot be read does not contain it; the inspector says why it cannot
        return None


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif value is not None:
        yield str(value)
