"""The interactive view of one engagement in a notebook. Importing this imports anywidget and ipywidgets."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import traitlets

from ..core.errors import InvalidArgumentError, UnknownStepError
from ..core.model import Annotation, Engagement, Step
from ..timeline import offset_ms
from . import _shown
from ._answers import Annotate, Answers
from ._filter import make_filter, pick
from ._page import PageWidget, RuntimeView, loader
from ._rows import step_frame
from .columns import on_wire, plain
from .export import png_bytes, whole_svg
from .html import engagement_page, frame, read_bundle
from .live import Audit, CostsOf, LivePayload
from .news import Follow, News
from .payload import engagement_payload
from .picture import static_html, summary_line
from .preview import PREVIEW_BYTES, Resolve
from .protocol import EngagementPayload, PatchMessage, Relative, Saved
from .times import times_of

if TYPE_CHECKING:
    import polars as pl

_FRAME_HEIGHT = 560


class Debugging(Protocol):
    """What a view asks of the store behind a run (`ftnb.debug`)."""

    @property
    def engagement_id(self) -> str: ...
    def insight(self, step_id: str, what: str) -> Any: ...
    def relatives(self) -> list[Relative]: ...
    def saved(self) -> Saved: ...
    def other(self, engagement_id: str) -> EngagementView: ...


_NO_STATE = {"tab": None, "filter": None, "found": None, "time_ms": None, "graph": None, "timeline": None}
_WAITING = "Waiting for a run to begin."


@functools.cache
def runtime() -> PageWidget:
    """The widget that carries the bundle: one a kernel, shared by all views, so that the bundle is sent once.

    Raises FtnbError where the bundle has not been built.
    """
    return PageWidget(_esm=read_bundle())


def _whole(_: Any, view: EngagementView) -> dict[str, Any]:
    """What `_payload` is on the wire: always the newest, also for a page that was loaded again."""
    return on_wire(view._live.payload) if view._live is not None else {}


class EngagementView(RuntimeView):
    """An engagement as a linked graph, timeline and inspector.

    Observe the trait `selection` to follow the user: `view.observe(f, "selection")`. Observers may run on another
    thread, as messages of the browser arrive while a cell is awaiting. A click made while a cell that does not await
    holds the kernel arrives after it.
    """

    _esm = loader()
    _payload = traitlets.Dict().tag(sync=True, to_json=_whole)
    _state = traitlets.Dict().tag(sync=True)
    _can: traitlets.List[Any] = traitlets.List().tag(sync=True)
    selection = traitlets.Tuple().tag(sync=True)
    """Ids of the selected steps; the inspector shows the last. Assign to it, or use `select`."""

    def __init__(
        self,
        engagement: Engagement | None,
        *,
        resolve: Resolve | None = None,
        annotate: Annotate | None = None,
        follow: Follow | None = None,
        debugging: Debugging | None = None,
        audit: Audit | None = None,
        costs: CostsOf | None = None,
        **kwargs: Any,
    ) -> None:
        """`resolve` turns a value held by reference into the plain value (see `payload.engagement_payload`).

        `annotate(label, value, note=…, step=…)` puts a judgement on record; without it the view offers none. With
        `follow` the view goes on with the run. `debugging` tells why a step ran, and of the run's branches; `audit` how
        far it is proved; `costs` what steps cost, by id. No engagement is one that has not begun: the view waits for
        it.
        """
        self._engagement = engagement
        self._resolve, self._audit, self._costs = resolve, audit, costs
        self._live = None if engagement is None else LivePayload(engagement, resolve, audit, costs)
        self._lock = threading.RLock()
        self._version = 0
        self._unfollow: Callable[[], None] | None = None
        self._is_over = False
        self._answers = Answers(self, resolve, annotate)
        self._debugging = debugging
        abilities = ["annotate"] * bool(annotate) + ["inspect", "family"] * bool(debugging)
        super().__init__(runtime(), _state=_NO_STATE, _can=abilities, _payload={"version": 0}, **kwargs)
        self.on_msg(self._answers.take)
        if follow is not None:
            self._unfollow = follow(self._hear)

    # --- what is shown ---

    @property
    def engagement(self) -> Engagement:
        """The engagement that is shown, as far as it got. Raises InvalidArgumentError while there is none."""
        if self._engagement is None:
            raise InvalidArgumentError("this view waits for a run that has not begun")
        return self._engagement

    @property
    def payload(self) -> EngagementPayload | None:
        """What the browser draws; None while there is no run. It changes as the run goes on: only look at it."""
        return None if self._live is None else self._live.payload

    @property
    def selected(self) -> pl.DataFrame:
        """The selected steps as rows, in the order in which they were selected; the columns of `Traces.steps()`."""
        steps = {step.id: step for step in self.engagement.steps}
        return step_frame(self.engagement, [steps[step_id] for step_id in self.selection if step_id in steps])

    @property
    def filtered(self) -> pl.DataFrame:
        """The steps that the view's filter picks, whoever set it; all of them where there is none."""
        asked = self._state.get("filter")
        steps = self.engagement.steps if asked is None else pick(self.engagement, asked, self._resolve)
        return step_frame(self.engagement, steps)

    # --- what Python does to it ---

    def select(self, step: str | None, *, visit: int | None = None) -> Step | None:
        """Select a step by name or id, and return it; None selects nothing.

        `visit` counts from 1; without it the last visit is taken, and of several attempts the last. Raises
        UnknownStepError for an unknown name, InvalidArgumentError for an unknown visit.
        """
        if step is None:
            self.selection = ()
            return None
        found = self.find(step, visit)
        self.selection = (found.id,)
        return found

    def filter(self, **fields: Any) -> pl.DataFrame:
        """Pick steps out in all parts of the view, and return them as rows; without arguments, all stand out again.

        Fields: `name`, `status`, `ns`, `turn`, `text` (anywhere in what was recorded, whatever the case), and of events
        inside the step `kind`, `tool`, `model`; with one of these, `status` is the event's: failed or completed. Raises
        InvalidArgumentError for what there is not.
        """
        asked = make_filter(self.engagement, fields)
        steps = self.engagement.steps if asked is None else pick(self.engagement, asked, self._resolve)
        found = [step.id for step in steps] if asked is not None and asked["text"] else None
        self._set_state(filter=asked, found=found)
        return step_frame(self.engagement, steps)

    def seek(self, at: float | timedelta | datetime | None) -> float | None:
        """Move the view to a moment: ms since the first step, or a duration, or a time (UTC when it has no zone).

        Returns it in ms, within the run; None: to no moment, and back to the whole.
        """
        if at is None:
            self._set_state(time_ms=None)
            return None
        times = times_of(self.engagement)
        ms: Any
        if isinstance(at, datetime):
            ms = offset_ms(at, times.start)
        elif isinstance(at, timedelta):
            ms = at / timedelta(milliseconds=1)
        else:
            ms = at
        if isinstance(ms, bool) or not isinstance(ms, int | float) or math.isnan(ms):
            raise InvalidArgumentError(f"seek takes ms since the first step, a timedelta or a datetime; got {at!r}")
        inside = min(max(float(ms), 0.0), times.total_ms)
        self._set_state(time_ms=inside)
        return inside

    def update(self, engagement: Engagement) -> None:
        """Show a newer state of the engagement; the selection stays as far as its steps are still there."""
        self._hear(News(engagement, None, self._live.payload["following"] if self._live else None))

    def add_annotation(self, made: Annotation) -> None:
        """Show a judgement that was put on record."""
        engagement = self.engagement
        if all(one.id != made.id for one in engagement.annotations):
            newer = engagement.model_copy(update={"annotations": [*engagement.annotations, made]})
            self._hear(News(newer, frozenset(), self._now()["following"]))

    def find(self, name: str, visit: int | None = None) -> Step:
        """The step of that id or name; see `select`."""
        steps = self.engagement.steps
        named = [step for step in steps if step.id == name] or [step for step in steps if step.name == name]
        if not named:
            where = f"engagement {self.engagement.id!r}"
            raise UnknownStepError.of(name, (step.name for step in steps), where)
        chosen = named if visit is None else [step for step in named if step.visit == visit]
        if not chosen:
            visits = ", ".join(str(number) for number in sorted({step.visit for step in named}))
            raise InvalidArgumentError(f"step {name!r} has no visit {visit}; it has: {visits}")
        return chosen[-1]

    def close(self) -> None:
        """Take the view off the page, and follow the run no longer."""
        if self._unfollow is not None:
            self._unfollow()
            self._unfollow = None
        super().close()

    # --- what debugging tells ---

    def insight(self, step_id: str, what: str) -> Any:
        """Why a step ran, what it changed, or its code, as the inspector shows it. Raises InvalidArgumentError."""
        if self._debugging is None:
            raise InvalidArgumentError("this view was made from a tree and not from a store: it cannot be asked")
        return self._debugging.insight(step_id, what)

    def relatives(self) -> list[Relative]:
        """The engagements that this one was forked from, and those that were made from these; itself among them."""
        return [] if self._debugging is None else self._debugging.relatives()

    def show_relative(self, engagement_id: str) -> None:
        """Show another member of the family in place of this one. Raises InvalidArgumentError for any other."""
        if engagement_id not in {one["id"] for one in self.relatives()} or self._debugging is None:
            raise InvalidArgumentError(f"{engagement_id!r} does not belong to this engagement's family")
        if self._unfollow is not None:
            self._unfollow()
            self._unfollow = None
        other = self._debugging.other(engagement_id)
        self._debugging, self._resolve = other._debugging, other._resolve
        self._answers.resolve, self._answers.annotate = other._answers.resolve, other._answers.annotate
        with self._lock:
            self._is_over = True
            self.selection = ()
            self._set_state(filter=None, found=None, time_ms=None, graph=None, timeline=None)
        self._hear(News(other.engagement, None, None))
        other.close()

    def _saved(self) -> Saved | None:
        return None if self._debugging is None else self._debugging.saved()

    # --- files ---

    def to_html(
        self, path: str | PathLike[str] | None = None, *, preview_bytes: int | None = PREVIEW_BYTES
    ) -> str | Path:
        """One self-contained interactive HTML document; written to `path` if given (and the path returned).

        Each recorded value is cut to `preview_bytes` and says so; None keeps all of them whole.
        """
        payload = engagement_payload(
            self.engagement,
            resolve=self._resolve,
            preview_bytes=preview_bytes,
            costs=self._costs and self._costs(self.engagement),
        )
        document = engagement_page(payload, self._saved())
        if path is None:
            return document
        target = Path(path)
        target.write_text(document, encoding="utf-8")
        return target

    def to_svg(self, path: str | PathLike[str] | None = None, *, dark: bool = False) -> str | Path:
        """Headline, graph and timeline as one SVG picture without script; written to `path` if given."""
        picture = whole_svg(self._now(), dark=dark)
        if path is None:
            return picture
        target = Path(path)
        target.write_text(picture, encoding="utf-8")
        return target

    def to_png(
        self, path: str | PathLike[str] | None = None, *, scale: float = 2.0, dark: bool = False
    ) -> bytes | Path:
        """The picture of `to_svg` as PNG, at `scale` pixels per unit; written to `path` if given.

        Raises MissingPackageError without the package that paints it (`pip install 'ftnb[png]'`).
        """
        data = png_bytes(whole_svg(self._now(), dark=dark), scale=scale)
        if path is None:
            return data
        target = Path(path)
        target.write_bytes(data)
        return target

    def static(self, *, height: int = _FRAME_HEIGHT) -> StaticView:
        """The interactive view in a frame of `height` px that needs no kernel: it stays in a saved notebook."""
        payload = engagement_payload(
            self.engagement, resolve=self._resolve, costs=self._costs and self._costs(self.engagement)
        )
        return StaticView(frame(engagement_page(payload, self._saved()), height=height), summary_line(payload))

    # --- display ---

    def _ipython_display_(self) -> None:
        # With a display id, so that what a saved notebook keeps can be brought to the run's final state.
        _shown.show(self)

    def picture(self) -> dict[str, str]:
        """What viewers without kernel or script show, by media type."""
        return static_bundle(self._now()) if self._live is not None else {"text/plain": _WAITING}

    @property
    def is_followed(self) -> bool:
        """Whether the run may still go on, and the view with it."""
        return self._unfollow is not None and not self._is_over

    def __repr__(self) -> str:
        return f"<EngagementView {summary_line(self._now()) if self._live is not None else _WAITING}>"

    def _now(self) -> EngagementPayload:
        if self._live is None:
            raise InvalidArgumentError("this view waits for a run that has not begun")
        return self._live.payload

    # --- the run goes on ---

    def _hear(self, news: News) -> None:
        """Take news of the run; on any thread."""
        with self._lock:
            self._engagement = news.engagement
            ends = self.is_followed and news.following is None
            self._is_over = self._is_over and news.following is None
            begins = self._live is None or self._live.payload["engagement"]["id"] != news.engagement.id
            if self._live is None or begins:
                self._live = LivePayload(news.engagement, self._resolve, self._audit, self._costs)
            changes = self._live.update(news.engagement, changed=news.changed, following=news.following)
            if begins or ends:
                # Whole, as a trait: so it is what a page that is loaded again, or saved, finds.
                self._version += 1
                self._payload = {"version": self._version}
            elif changes:
                self.send(PatchMessage(op="patch", patch=self._live.payload["seq"], changes=plain(changes)))
            known = {step.id for step in news.engagement.steps}
            if not known.issuperset(self.selection):
                self.selection = tuple(step_id for step_id in self.selection if step_id in known)
        if ends:
            self._ended()

    def _ended(self) -> None:
        self._is_over = True
        _shown.ended(self)

    def _send_whole(self) -> None:
        """To a browser that missed something."""
        with self._lock:
            self._version += 1
            self._payload = {"version": self._version}

    def _set_state(self, **fields: Any) -> None:
        self._state = {**_NO_STATE, **self._state, **fields}


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
