"""Handles on one recorded engagement and on its steps: the plain model, and what can be asked of it."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from .core.errors import FtnbError, UnknownStepError
from .core.model import Annotation, Engagement, Step, StepEvent
from .store.base import LogStore
from .store.blobs import Resolver

if TYPE_CHECKING:
    import polars as pl

    from .timeline import TimelineView

_ABSENT = "(absent)"


class _Forwarding:
    """Gives the fields of a handle's model."""

    _fields: frozenset[str]
    _what: str

    def __getattr__(self, name: str) -> Any:
        if name not in self._fields:
            raise AttributeError(f"{self._what} has no {name!r}; see dir()")
        return getattr(self.model, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._fields})


class EngagementHandle(_Forwarding):
    """One engagement of a store. While it runs, what is asked later may see more of it.

    Every field of `core.model.Engagement` can be asked of it too: `eng.metadata`, `eng.total_tokens`, `eng.gaps` …
    """

    _fields = frozenset({*Engagement.model_fields, *Engagement.model_computed_fields})
    _what = "an engagement"

    def __init__(self, store: LogStore, engagement_id: str) -> None:
        """`engagement_id` must exist; it is looked up when the first thing is asked."""
        self._store = store
        self.id = engagement_id
        self._read: tuple[tuple[int, int], Engagement] | None = None

    def __repr__(self) -> str:
        model = self.model
        tokens = f", {model.total_tokens} tokens" if model.total_tokens else ""
        dropped = f", dropped at {model.dropped_at!r}" if model.dropped_at else ""
        return f"<Engagement {self.id} {model.name!r}: {model.status.value}, {len(model.steps)} steps{tokens}{dropped}>"

    @property
    def model(self) -> Engagement:
        """The plain tree, as of now. Raises UnknownEngagementError when it was purged."""
        return self.load()

    def load(self) -> Engagement:
        """Read the tree if it is not there yet, or has changed. Raises UnknownEngagementError."""
        revision = self._store.revision()
        if self._read is None or self._read[0] != revision:
            self._read = (revision, self._store.get_engagement(self.id))
        return self._read[1]

    @property
    def name(self) -> str:
        """The workflow's name."""
        return self.model.name

    @property
    def status(self) -> str:
        """active, paused, completed, failed or abandoned."""
        return self.model.status.value

    @property
    def steps(self) -> list[StepHandle]:
        """Every step execution, in order."""
        return [StepHandle(self, step) for step in self.model.steps]

    def step(self, name: str, visit: int | None = None, *, attempt: int | None = None) -> StepHandle:
        """The step of that name, or of that step id.

        `visit` and `attempt` count from 1; without them it is the last visit, and the last attempt of it. Raises
        UnknownStepError.
        """
        model = self.model
        found = [step for step in model.steps if step.name == name] or [s for s in model.steps if s.id == name]
        if not found:
            raise UnknownStepError.of(name, (step.name for step in model.steps), f"engagement {self.id}")
        chosen = [
            step
            for step in found
            if (visit is None or step.visit == visit) and (attempt is None or step.attempt == attempt)
        ]
        if not chosen:
            asked = " and ".join(f"{k} {v}" for k, v in (("visit", visit), ("attempt", attempt)) if v is not None)
            there = ", ".join(f"visit {step.visit} attempt {step.attempt}" for step in found[:20])
            raise UnknownStepError(f"step {name!r} of engagement {self.id} has no {asked}; it has: {there}")
        return StepHandle(self, max(chosen, key=lambda step: (step.visit, step.attempt)))

    @property
    def events(self) -> pl.DataFrame:
        """Its events, with payloads as JSON text; the columns of `Traces.events(payload=True)`."""
        from .frames import Frames

        return Frames(self._store, self.id).events(payload=True)

    def annotate(
        self,
        label: str,
        value: bool | int | float | str = True,
        *,
        by: str | None = None,
        note: str | None = None,
        step: str | StepHandle | None = None,
    ) -> Annotation:
        """Judge it, or one of its steps (a handle, a step id or a name); what was said before stays on record.

        `ftnb` questions that ask for a label take the latest. Raises UnknownStepError, InvalidArgumentError, and
        StoreError where the store can only be read.
        """
        from .store._annotate import annotate

        where = None if step is None else step.id if isinstance(step, StepHandle) else self.step(step).id
        return annotate(self._store, self.load().id, label, value, by=by, note=note, step_id=where)

    def timeline(self) -> TimelineView:
        """Its lanes and marks over time."""
        from .timeline import build_timeline

        return build_timeline(self.model)

    def resolve(self, value: Any) -> Any:
        """The Python value that a reference in the model (`state_ref`, `update_ref`) stands for."""
        return Resolver(self._blob)(value)

    def _blob(self, blob_id: str) -> bytes | None:
        return self._store.blob(self.id, blob_id)

    def widget(self, **options: Any) -> Any:
        """The interactive view: linked graph, timeline and inspector; it goes on with a run that goes on.

        `options` as of `EngagementView`.
        """
        from ._follow import LIVE, follow_run
        from .widget.view import EngagementView

        model = self.model
        if model.status in LIVE:
            options.setdefault("follow", partial(follow_run, self._store, self.id))
        return EngagementView(model, resolve=self.resolve, **{"annotate": self.annotate, **options})

    def _ipython_display_(self) -> None:
        from IPython.display import display

        try:
            self.widget()._ipython_display_()
        except (ImportError, FtnbError):  # no anywidget here, or no bundle: a display never breaks a cell
            display({"text/plain": repr(self)}, raw=True)  # type: ignore[no-untyped-call]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        try:
            return self.widget()._repr_mimebundle_(include=include, exclude=exclude)
        except (ImportError, FtnbError):  # no anywidget here, or no bundle: a display never breaks a cell
            return {"text/plain": repr(self)}


class StepHandle(_Forwarding):
    """One step execution of an engagement.

    Every field of `core.model.Step` can be asked of it too: `step.visit`, `step.duration_ms`, `step.error` …
    """

    _fields = frozenset({*Step.model_fields, *Step.model_computed_fields})
    _what = "a step"

    def __init__(self, engagement: EngagementHandle, step: Step) -> None:
        self.engagement = engagement
        self.model = step

    def __repr__(self) -> str:
        step = self.model
        again = f" attempt {step.attempt}" if step.attempt > 1 else ""
        return f"<Step {step.name!r} visit {step.visit}{again}: {step.status.value}, {len(step.events)} events>"

    @property
    def id(self) -> str:
        """Its id, unique within the engagement."""
        return self.model.id

    @property
    def name(self) -> str:
        """The node's name."""
        return self.model.name

    @property
    def status(self) -> str:
        """running, waiting, completed, failed, skipped or cancelled."""
        return self.model.status.value

    @cached_property
    def input(self) -> Any:
        """The state that the node was given; None when it was not captured."""
        return self.engagement.resolve(self.model.state_ref)

    @cached_property
    def output(self) -> Any:
        """What the node returned; None when it returned nothing, or it was not captured."""
        return self.engagement.resolve(self.model.update_ref)

    @property
    def events(self) -> list[StepEvent]:
        """What happened inside it, in order."""
        return self.model.events

    def annotate(
        self, label: str, value: bool | int | float | str = True, *, by: str | None = None, note: str | None = None
    ) -> Annotation:
        """Judge this step; see `EngagementHandle.annotate`."""
        return self.engagement.annotate(label, value, by=by, note=note, step=self)

    @property
    def annotations(self) -> list[Annotation]:
        """What was said about this step, oldest first."""
        return [one for one in self.engagement.model.annotations if one.step_id == self.id]

    @property
    def tokens(self) -> int:
        """Tokens of its events, those discarded by a pause left out."""
        return self.model.total_tokens

    def diff(self) -> dict[str, tuple[Any, Any]]:
        """The keys of the output that differ from the input: {key: (before, after)}.

        The output is what the node returned, before reducers. A key that the input did not have is `(absent)` before.
        """
        before, after = self.input, self.output
        if not isinstance(after, dict):
            return {} if after is None else {"(output)": (before, after)}
        known = before if isinstance(before, dict) else {}
        pairs = {key: (known.get(key, _ABSENT), value) for key, value in after.items()}
        return {key: pair for key, pair in pairs.items() if _differ(*pair)}


def _differ(before: Any, after: Any) -> bool:
    try:
        return bool(before != after)
    except Exception:  # a value whose comparison raises, or gives an array, is shown
        return True
