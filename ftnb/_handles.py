"""Handles on one recorded engagement and on its steps: the plain model, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .core.errors import FtnbError, InvalidArgumentError, UnknownStepError
from .core.model import Annotation, Engagement, Step, StepEvent
from .store.base import LogStore
from .store.blobs import Resolver

if TYPE_CHECKING:
    from os import PathLike

    import polars as pl

    from .audit._redact import Redacted
    from .debug import Replay
    from .debug._inspect import StateDiff
    from .debug._look import Look
    from .debug._ran import Ran
    from .debug._source import Source
    from .debug._watch import Watch
    from .debug._why import Why
    from .interop._report import Report
    from .interop._span_form import Convention
    from .timeline import TimelineView


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
        self._looked: tuple[tuple[int, int], Look] | None = None

    def __repr__(self) -> str:
        model = self.model
        tokens = f", {model.total_tokens} tokens" if model.total_tokens else ""
        dropped = f", dropped at {model.dropped_at!r}" if model.dropped_at else ""
        steps = f"{len(model.steps)} steps{tokens}{dropped}"
        return f"<Engagement {self.id} {model.name!r}: {model.status.value}, {steps}, {self.audit_state}>"

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

    # --- proofs ---

    @property
    def audit_state(self) -> str:
        """How far it is proved, without checking it: sealed, unsealed, gap or redacted; "no proofs" where the store
        gives none. `tr.audit.verify()` checks."""
        from .audit._state import state_of

        return state_of(self._store, self.load().id)

    def redact(self, **what: Any) -> Redacted:
        """Take content out of it, for good: `eng.redact(fields=["email"], reason="…", by="…")`, `pattern=r"…"` or
        `all=True`; see `ftnb.audit.Trail.redact`."""
        from .audit._redact import redact

        return redact(getattr(self._store, "whole", self._store), [self.load().id], **what)

    # --- debugging ---

    def look(self) -> Look:
        """What the questions of debugging are asked of; read once, and again when the store has changed."""
        from .debug._look import Look

        revision = self._store.revision()
        if self._looked is None or self._looked[0] != revision:
            self._looked = (revision, Look(self._store, self.id))
        return self._looked[1]

    def watch(self, key: str) -> Watch:
        """Every write to a key of the state, or to a part of it (`"plan.title"`, `"items[3]"`), in order.

        Raises UnknownKeyError.
        """
        from .debug._watch import watch

        return watch(self.look(), key)

    def who_wrote(self, key: str) -> Writers:
        """The steps that changed a key of the state, or a part of it, in order; `.last` is the last of them.

        Raises UnknownKeyError.
        """
        steps = {step.id: step for step in self.steps}
        found = (write.step_id for write in self.watch(key) if write.changed)
        return Writers(steps[step_id] for step_id in found if step_id in steps)

    def first(self, predicate: Callable[[dict[str, Any]], Any], *, ns: str = "") -> StepHandle | None:
        """The first step after which `predicate` (a function of the state, a plain dict) holds; None: it never does.

        `ns` asks about the graph inside that node. Raises InvalidArgumentError when the predicate raises.
        """
        from .debug._watch import first

        found = first(self.look(), predicate, ns)
        return None if found is None else self.step(found.step_id)

    def timeline(self) -> TimelineView:
        """Its lanes and marks over time."""
        from .timeline import build_timeline

        return build_timeline(self.model)

    def resolve(self, value: Any) -> Any:
        """The Python value that a reference in the model (`state_ref`, `update_ref`) stands for."""
        return Resolver(self._blob)(value)

    def _blob(self, blob_id: str) -> bytes | None:
        return self._store.blob(self.id, blob_id)

    def widget(self, *, prices: Any = None, **options: Any) -> Any:
        """The interactive view: linked graph, timeline and inspector; it goes on with a run that goes on.

        With `prices`, as of `ftnb.prices`, it tells what steps cost, too. `options` as of `EngagementView`.
        """
        from .live.follow import LIVE, follow_run
        from .widget.view import EngagementView

        model = self.model
        if model.status in LIVE:
            options.setdefault("follow", partial(follow_run, self._store, self.id))
        if prices is not None:
            from .live._costs import step_costs

            options["costs"] = step_costs(prices)
        given = {"annotate": self.annotate, "debugging": self._debugging(), "audit": self._badge, **options}
        return EngagementView(model, resolve=self.resolve, **given)

    def _badge(self) -> Any:
        from .audit._state import badges_of

        return badges_of(self._store, [self.id])[0]

    def _debugging(self) -> Any:
        from .debug._told import Told

        return Told(lambda: self)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        try:
            self.widget()._ipython_display_()
        except (ImportError, FtnbError):  # no anywidget here, or no bundle: a display never breaks a cell
            display({"text/plain": repr(self)}, raw=True)  # type: ignore[no-untyped-call]

    def family(self) -> pl.DataFrame:
        """The engagements that it was forked or replayed from, those that were made from these, and itself.

        One row each, parents before children: engagement_id, parent_id, kind (run, replay, fork), at (the step where it
        branched off), depth (0: the eldest), name, status, started_at, n_steps, total_tokens, is_self.
        """
        from .debug._family import family_frame

        return family_frame(self._store, self.id)

    # --- running it again ---

    def fork(
        self,
        at: StepHandle | str,
        state: Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> EngagementHandle:
        """Go on with the whole graph from the step `at` (or the last one of that name), with the state edited.

        `state` gives new values of its keys, past reducers, or is a function of the state that returns them. Nothing
        before the step runs again; the steps beside it do. The graph is the one that ran, or its namesake in the
        notebook, and is not changed; it needs no checkpointer. Recorded answers of models, tools and people are given
        where the same is asked again; else models are called, and tools that are marked safe.

        `options`: `graph`, `use` ("recorded", "live", "refuse"), `model` (another chat model, or its name),
        `safe_tools` (names, tools, or "all"), `allow_live` (see `StepHandle.replay`), `allow_masked` (go on with text
        in which secrets were masked), `config` and `context` as LangGraph takes them.

        The branch comes back: an engagement whose `parent_id` is this one, failed where the agent raised, and paused
        where it asks what nobody answered (`resume` goes on). Raises ReplayError, InvalidArgumentError.
        """
        from .debug import fork

        step = self._step_at(at)
        branch = fork(self._store, self.id, step.id, state=state, **options)
        return EngagementHandle(branch.store, branch.engagement_id)

    async def afork(self, at: StepHandle | str, state: Any = None, **options: Any) -> EngagementHandle:
        """The async twin of `fork`: nodes run on this event loop."""
        from .debug import afork

        step = self._step_at(at)
        branch = await afork(self._store, self.id, step.id, state=state, **options)
        return EngagementHandle(branch.store, branch.engagement_id)

    def _step_at(self, at: Any) -> StepHandle:
        """A step of this engagement, also by its name or id. Raises UnknownStepError, InvalidArgumentError."""
        if isinstance(at, str):
            return self.step(at)
        if not isinstance(at, StepHandle):
            raise InvalidArgumentError(f"at is a step of the engagement, or its name: eng.step('search'); got {at!r}")
        return at

    def resume(self, answer: Any = None) -> EngagementHandle:
        """Go on with this fork, which paused in this process, giving `answer` to what it asks.

        None where it only stopped before or after a node (`interrupt_before`). Several open questions take a dict of
        their ids, as `Command(resume=…)` does. Raises ReplayError where this is no paused fork of this process.
        """
        from .debug import resume

        resume(self.id, answer)
        return self

    async def aresume(self, answer: Any = None) -> EngagementHandle:
        """The async twin of `resume`."""
        from .debug import aresume

        await aresume(self.id, answer)
        return self

    def to_otlp(self, path: str | PathLike[str], *, attributes: Convention = "both") -> Report:
        """Write it as OTLP JSON; see `Traces.to_otlp`."""
        from .interop._write import otlp

        return otlp(self._store, Path(path), attributes, self.load().id)

    def to_perfetto(self, path: str | PathLike[str]) -> Report:
        """Write it as a Chrome trace; see `Traces.to_perfetto`."""
        from .interop._write import perfetto

        return perfetto(self._store, Path(path), self.load().id)

    def to_ndjson(self, path: str | PathLike[str]) -> Report:
        """Write its records as lines of JSON; see `Traces.to_ndjson`."""
        from .interop.ndjson import write

        return write(self._store, Path(path), self.load().id)

    def to_pytest(self, path: str | PathLike[str], **options: Any) -> Path:
        """Write a test that replays this run on the code of the day, and fails with what differs; its path.

        `path` is a folder, or `test_….py`. What models, tools and people said goes into a JSON file beside it, so the
        test calls nothing and needs no store. `options`: `graph` says where the test imports the graph from
        ("my_agent:app", "my_agent:build()"; not needed where the live graph is a module's), `ignore` names keys of the
        state that differ each time, `overwrite` replaces files. Raises InvalidArgumentError, ReplayError.
        """
        from .debug import write_test

        return write_test(self._store, self.id, path, **options)

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

    # --- debugging ---

    def _ran(self) -> tuple[Look, Ran]:
        look = self.engagement.look()
        return look, look.step(self.id)

    @cached_property
    def input(self) -> Any:
        """What the node was given. Large values show a part of themselves; `.value` is the whole.

        Raises NotRecordedError when it was not captured, or is redacted.
        """
        from .debug._inspect import given

        return given(*self._ran())

    @cached_property
    def output(self) -> Any:
        """What the node returned; None when that was nothing. Raises NotRecordedError when it is redacted."""
        from .debug._inspect import returned

        return returned(*self._ran())

    @property
    def state_before(self) -> dict[str, Any]:
        """The whole state of its graph when it began, as all steps beside it saw it. Raises NotRecordedError."""
        from .debug._inspect import state_before

        return state_before(*self._ran())

    @property
    def state_after(self) -> dict[str, Any]:
        """The state after it and all that ran beside it, as the graph's reducers made it; where one of them failed,
        the state as it was before. Raises NotRecordedError."""
        from .debug._inspect import state_after

        return state_after(*self._ran())

    def diff(self) -> StateDiff:
        """What it alone changed in the state: {key: (before, after)}, with `.patch` (RFC 6902) and `.frame()`.

        A key that was not there is `(absent)` before. Raises NotRecordedError.
        """
        from .debug._inspect import diff

        return diff(*self._ran())

    def why(self) -> Why:
        """Why it ran: which edge, what the router said, and which steps led to it; `.text`, `.frame()`."""
        from .debug._why import why

        return why(*self._ran(), self.engagement.model)

    @property
    def source(self) -> Source:
        """The source of its node's function as it was when it ran, and whether today's differs.

        Raises NotRecordedError when it is not on record.
        """
        from .debug._source import source

        return source(*self._ran())

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

    def replay(
        self, edit: Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any]] | None = None, **options: Any
    ) -> Replay:
        """Call the node's function again, as it is in this process now, with the recorded input.

        `edit` gives new values of keys of the input, or is a function of the input that returns them. Routers after
        the node say where they would lead; nothing after it runs. Recorded answers of models and tools are given where
        the same is asked again (`use="recorded"`); `"live"` calls models anew, `"refuse"` calls nothing that is not on
        record. A tool is called only when it is marked safe (`ftnb.safe`, or `safe_tools=[…]`).

        That goes for calls through a provider's own SDK, too, where `ftnb.capture` recorded them; what cannot be given
        again ends the replay, and says so. `allow_live=["openai"]` names providers or models that are called anyway.

        `options`: `model` (another chat model, or its name), `times` (repetitions, as rows of `.frame()`), `use`,
        `safe_tools`, `allow_live`, `graph`, `config`, `context`, `allow_masked` (run with text in which secrets were
        masked).

        Each repetition is recorded as a branch. Raises ReplayError, which says what is missing, InvalidArgumentError.
        """
        from .debug import replay

        return replay(self.engagement._store, self.engagement.id, self.id, EngagementHandle, edit=edit, **options)

    async def areplay(self, edit: Any = None, **options: Any) -> Replay:
        """The async twin of `replay`: the node runs on this event loop."""
        from .debug import areplay

        return await areplay(
            self.engagement._store, self.engagement.id, self.id, EngagementHandle, edit=edit, **options
        )

    @property
    def tokens(self) -> int:
        """Tokens of its events, those discarded by a pause left out."""
        return self.model.total_tokens


class Writers(list[StepHandle]):
    """Steps that wrote to a key, in order."""

    @property
    def last(self) -> StepHandle | None:
        """The last of them; None when there is none."""
        return self[-1] if self else None
