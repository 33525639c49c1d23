"""The interactive view of one engagement in a notebook. Importing this imports anywidget and ipywidgets."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from ..core.errors import InvalidArgumentError, UnknownStepError
from ..core.model import Engagement, Step
from .html import engagement_page, frame, read_bundle
from .payload import engagement_payload
from .picture import static_html, summary_line
from .preview import PREVIEW_BYTES, Resolve, preview, preview_ref
from .protocol import EngagementPayload, Preview

_FRAME_HEIGHT = 560
_WHOLE_BYTES = 4_000_000
"""Even "show all" ends somewhere: beyond this a browser tab would stop."""

_LOADER = """
export default {
  async render({ model, el, signal, host }) {
    const runtime = await host.getWidget(model.get("_runtime"));
    return runtime.exports.mount({ model, el, signal });
  },
};
"""


@functools.cache
def runtime() -> anywidget.AnyWidget:
    """The widget that carries the bundle: one a kernel, shared by all views, so that the bundle is sent once.

    Raises FtnbError where the bundle has not been built.
    """
    return anywidget.AnyWidget(_esm=read_bundle())


class EngagementView(anywidget.AnyWidget):
    """An engagement as a linked graph, timeline and inspector.

    Observe the trait `selection` to follow the user: `view.observe(f, "selection")`. Observers may run on another
    thread, as messages of the browser arrive while a cell is awaiting.
    """

    _esm = _LOADER
    _runtime = anywidget.WidgetTrait().tag(sync=True)
    _payload = traitlets.Dict().tag(sync=True)
    selection = traitlets.Tuple().tag(sync=True)
    """Ids of the selected steps; the inspector shows the last. Assign to it, or use `select`."""

    def __init__(self, engagement: Engagement, *, resolve: Resolve | None = None, **kwargs: Any) -> None:
        """`resolve` turns a value held by reference into the plain value (see `payload.engagement_payload`)."""
        self._engagement = engagement
        self._resolve = resolve
        self._data = engagement_payload(engagement, resolve=resolve)
        super().__init__(_runtime=runtime(), _payload=self._data, **kwargs)
        self.on_msg(self._on_message)

    @property
    def engagement(self) -> Engagement:
        """The engagement that is shown."""
        return self._engagement

    @property
    def selected(self) -> list[Step]:
        """The selected steps, in the order in which they were selected."""
        steps = {step.id: step for step in self._engagement.steps}
        return [steps[step_id] for step_id in self.selection if step_id in steps]

    def select(self, step: str | None, *, visit: int | None = None) -> Step | None:
        """Select a step by name or id, and return it; None selects nothing.

        `visit` counts from 1; without it the last visit is taken, and of several attempts the last. Raises
        UnknownStepError for an unknown name, InvalidArgumentError for an unknown visit.
        """
        if step is None:
            self.selection = ()
            return None
        found = self._find(step, visit)
        self.selection = (found.id,)
        return found

    def update(self, engagement: Engagement) -> None:
        """Show a newer state of the engagement; the selection stays as far as its steps are still there."""
        self._engagement = engagement
        known = {step.id for step in engagement.steps}
        self._data = engagement_payload(engagement, resolve=self._resolve)
        self._payload = dict(self._data)
        self.selection = tuple(step_id for step_id in self.selection if step_id in known)

    def to_html(
        self, path: str | PathLike[str] | None = None, *, preview_bytes: int | None = PREVIEW_BYTES
    ) -> str | Path:
        """One self-contained interactive HTML document; written to `path` if given (and the path returned).

        Each recorded value is cut to `preview_bytes` and says so; None keeps all of them whole.
        """
        payload = engagement_payload(self._engagement, resolve=self._resolve, preview_bytes=preview_bytes)
        document = engagement_page(payload)
        if path is None:
            return document
        target = Path(path)
        target.write_text(document, encoding="utf-8")
        return target

    def static(self, *, height: int = _FRAME_HEIGHT) -> StaticView:
        """The interactive view in a frame of `height` px that needs no kernel: it stays in a saved notebook."""
        return StaticView(frame(engagement_page(self._data), height=height), summary_line(self._data))

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, **static_bundle(self._data)}, metadata

    def __repr__(self) -> str:
        return f"<EngagementView {summary_line(self._data)}>"

    def _find(self, name: str, visit: int | None) -> Step:
        steps = self._engagement.steps
        by_id = [step for step in steps if step.id == name]
        named = by_id or [step for step in steps if step.name == name]
        if not named:
            where = f"engagement {self._engagement.id!r}"
            raise UnknownStepError.of(name, (step.name for step in steps), where)
        chosen = named if visit is None else [step for step in named if step.visit == visit]
        if not chosen:
            visits = ", ".join(str(number) for number in sorted({step.visit for step in named}))
            raise InvalidArgumentError(f"step {name!r} has no visit {visit}; it has: {visits}")
        return chosen[-1]

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        """What the browser sends. It is not trusted: anything unknown is ignored."""
        if not isinstance(content, dict):
            return
        if content.get("op") == "select" and isinstance(content.get("selection"), Sequence):
            known = {step.id for step in self._engagement.steps}
            self.selection = tuple(one for one in content["selection"] if isinstance(one, str) and one in known)
        elif content.get("op") == "fetch":
            self._answer(content)

    def _answer(self, asked: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"op": "value", "seq": asked.get("seq"), "preview": None, "error": None}
        try:
            answer["preview"] = self._whole(asked)
        except (LookupError, TypeError, ValueError) as error:
            answer["error"] = str(error) or type(error).__name__
        self.send(answer)

    def _whole(self, asked: dict[str, Any]) -> Preview | None:
        part = asked.get("part")
        if part == "metadata":
            return preview(self._engagement.metadata, limit=_WHOLE_BYTES)
        step = self._find(str(asked.get("step")), None)
        if part in ("state", "update"):
            ref = step.state_ref if part == "state" else step.update_ref
            return preview_ref(ref, resolve=self._resolve, limit=_WHOLE_BYTES)
        if part == "extraction" and step.extraction:
            return preview(step.extraction.values, limit=_WHOLE_BYTES)
        if part == "event":
            return preview(step.events[int(asked["event"])].payload, limit=_WHOLE_BYTES)
        raise InvalidArgumentError(f"step {step.name!r} has no {part!r}")


class StaticView:
    """An HTML fragment to display; `str()` of it is the markup."""

    def __init__(self, markup: str, line: str) -> None:
        self._markup, self._line = markup, line

    def __str__(self) -> str:
        return self._markup

    def __repr__(self) -> str:
        return f"<StaticView {self._line}>"

    def _repr_html_(self) -> str:
        return self._markup


def static_bundle(payload: EngagementPayload) -> dict[str, str]:
    """What a viewer without kernel or script shows."""
    return {"text/html": static_html(payload), "text/plain": summary_line(payload)}
