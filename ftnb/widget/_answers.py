"""What the browser asks of a view, and the answers. Nothing that comes from there is trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.errors import FtnbError, InvalidArgumentError
from ..core.model import Annotation
from ._filter import FIELDS, contains
from .payload import step_detail
from .preview import PREVIEW_BYTES, Resolve, preview, preview_ref
from .protocol import Preview
from .times import times_of

if TYPE_CHECKING:
    from .view import EngagementView

Annotate = Callable[..., Any]
"""`annotate(label, value, note=…, step=…)` puts a judgement on record; `step` is an id or None."""

_WHOLE_BYTES = 4_000_000
"""Even "show all" ends somewhere: beyond this a browser tab would stop."""
_STATE_BYTES = 20_000
_MAX_TEXT = 20_000


class Answers:
    """Takes the messages of one view's browser side."""

    def __init__(self, view: EngagementView, resolve: Resolve | None, annotate: Annotate | None) -> None:
        self._view, self.resolve, self.annotate = view, resolve, annotate

    def take(self, _: Any, content: Any, buffers: Any) -> None:
        """One message; what is not understood is ignored."""
        if not isinstance(content, dict):
            return
        op = content.get("op")
        if op == "select" and isinstance(content.get("selection"), list | tuple):
            self._select(content["selection"])
        elif op == "state" and isinstance(content.get("state"), dict):
            self._set_state(content["state"])
        elif op == "hello":
            self._reply(content, "answer", "value", self._greet)
        elif op == "fetch":
            self._reply(content, "value", "preview", self._value)
        elif op in ("detail", "search", "annotate", "inspect", "family"):
            does = {"detail": self._detail, "search": self._search, "annotate": self._judge, "inspect": self._inspect,
                    "family": self._family}  # fmt: skip
            self._reply(content, "answer", "value", does[op])

    def read(self, asked: dict[str, Any]) -> Any:
        """The answer to a question that changes nothing: fetch, detail, search, inspect, or family without `show`.
        Raises LookupError for another."""
        does = {"fetch": self._value, "detail": self._detail, "search": self._search, "inspect": self._inspect}
        return self._view.relatives() if asked["op"] == "family" else does[asked["op"]](asked)

    def _reply(self, asked: dict[str, Any], op: str, field: str, make: Callable[[dict[str, Any]], Any]) -> None:
        answer: dict[str, Any] = {"op": op, "seq": asked.get("seq"), field: None, "error": None}
        try:
            answer[field] = make(asked)
        except (FtnbError, LookupError, TypeError, ValueError, OSError) as error:
            answer["error"] = str(error) or type(error).__name__
        self._view.send(answer)

    def _select(self, ids: Any) -> None:
        known = {step.id for step in self._view.engagement.steps}
        self._view.selection = tuple(one for one in ids if isinstance(one, str) and one in known)

    def _set_state(self, fields: dict[str, Any]) -> None:
        known = ("tab", "filter", "found", "time_ms", "graph", "timeline")
        kept = {key: fields[key] for key in known if key in fields and len(repr(fields[key])) < _STATE_BYTES}
        asked = kept.get("filter")
        if asked is not None:
            if not isinstance(asked, dict):
                return
            kept["filter"] = {key: asked.get(key) for key in FIELDS}
        self._view._set_state(**kept)

    def _greet(self, asked: dict[str, Any]) -> bool:
        """A view was mounted, or missed a patch; a page may have been away while the run went on."""
        payload = self._view.payload
        if payload is not None and asked.get("patches") != payload["seq"]:
            self._view._send_whole()
        return True

    def _value(self, asked: dict[str, Any]) -> Preview | None:
        part = asked.get("part")
        engagement = self._view.engagement
        if part == "metadata":
            return preview(engagement.metadata, limit=_WHOLE_BYTES)
        step = self._view.find(str(asked.get("step")))
        if part in ("state", "update"):
            ref = step.state_ref if part == "state" else step.update_ref
            return preview_ref(ref, resolve=self.resolve, limit=_WHOLE_BYTES)
        if part == "extraction" and step.extraction:
            return preview(step.extraction.values, limit=_WHOLE_BYTES)
        if part == "event":
            return preview(step.events[int(asked["event"])].payload, limit=_WHOLE_BYTES)
        raise InvalidArgumentError(f"step {step.name!r} has no {part!r}")

    def _detail(self, asked: dict[str, Any]) -> Any:
        engagement = self._view.engagement
        step = self._view.find(str(asked.get("step")))
        return step_detail(step, times_of(engagement).start, self.resolve, PREVIEW_BYTES)

    def _search(self, asked: dict[str, Any]) -> list[str]:
        text = str(asked.get("text") or "")[:_MAX_TEXT]
        return [step.id for step in self._view.engagement.steps if contains(step, text, self.resolve)]

    def _inspect(self, asked: dict[str, Any]) -> Any:
        return self._view.insight(self._view.find(str(asked.get("step"))).id, str(asked.get("what")))

    def _family(self, asked: dict[str, Any]) -> Any:
        wanted = asked.get("show")
        if wanted is not None:
            self._view.show_relative(str(wanted))
        return self._view.relatives()

    def _judge(self, asked: dict[str, Any]) -> bool:
        if self.annotate is None:
            raise InvalidArgumentError(
                "this view was made from a tree and not from a store: nothing can be put on record"
            )
        label, value, note, step = (asked.get(key) for key in ("label", "value", "note", "step"))
        if not isinstance(label, str) or not isinstance(value, bool | int | float | str):
            raise InvalidArgumentError("a judgement is a label and a value")
        if step is not None:
            step = self._view.find(str(step)).id
        made = self.annotate(label[:_MAX_TEXT], value, note=str(note)[:_MAX_TEXT] if note else None, step=step)
        if isinstance(made, Annotation):
            self._view.add_annotation(made)
        return True
