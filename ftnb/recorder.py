"""The recorder: what happened in, records out, and the agent never notices.

**Fail-open.** No exception of ours reaches the agent; a call never waits, takes no lock of Python's and does no I/O.
Calls put drafts on a queue; one daemon thread per store writes them, in batches.

States of a record: *accepted*, the call returned and the payload is frozen; *committed*, it is in the store and
survives a crash. `flush()` returns when everything accepted before it is committed; reads of the store flush by
themselves.

**Not silent.** What could not be kept is counted by reason (`stats()`), logged once per reason, and on record as a gap.

A foreign store that has only `append` is written to directly, on the caller's thread: it could not wait for a queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from .core.freeze import freeze
from .core.ids import new_id, now_us, to_us
from .core.model import EngagementStatus, EventKind, Extraction, StepStatus, TokenUsage, Topology
from .store import build
from .store._committer import RecorderStats
from .store._direct import DirectPipeline, Pipeline
from .store._pipeline import QueuePipeline
from .store.base import LogStore, Store
from .store.draft import Draft, Stream, micros, tokens_of

__all__ = ["Recorder", "RecorderStats"]

_CLOSED = "recorded after the recorder was closed"
_MAX_KNOWN = 10_000
"""Steps and engagements whose stream is remembered; older ones are forgotten first."""


class Recorder:
    """Records engagements, steps and events into a store. Every method may be called from any thread."""

    def __init__(self, store: Store) -> None:
        """`store` needs `append`; a store in log format v1 is written to in batches, by a thread."""
        self.store = store
        self.pipeline: Pipeline
        """The way to the store; captures put what they see on its queue themselves."""
        self.is_closed = False
        """It takes no more."""
        self._release: Callable[[], Any] = lambda: None
        if isinstance(store, LogStore):
            self.pipeline, self._release = QueuePipeline.attach(self, store)
        else:
            self.pipeline = DirectPipeline(store)
        self._streams: dict[str, Stream] = {}
        self._steps: dict[str, tuple[Stream, str]] = {}

    def __repr__(self) -> str:
        return f"Recorder({self.store!r})"

    @property
    def _store(self) -> Store:
        # By this name code that was written for flowtraicer reaches it.
        return self.store

    # --- engagements ---

    def start_engagement(
        self,
        name: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        topology: Topology | None = None,
        goal_nodes: Iterable[str] = (),
        parent_id: str | None = None,
    ) -> str:
        """Begin an engagement and return its id. `goal_nodes` are kept with it; who drives the run judges them."""
        engagement_id = new_id()
        stream = Stream(new_id(), engagement_id, turn=1)
        _remember(self._streams, engagement_id, stream)
        self._put(
            lambda: build.engagement_started(
                stream,
                now_us(),
                name,
                metadata=freeze(metadata or {})[0],
                topology=topology,
                goal_nodes=sorted(goal_nodes),
                parent_id=parent_id,
            )
        )
        return engagement_id

    def label_engagement(
        self,
        engagement_id: str,
        *,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        topology: Topology | None = None,
        goal_nodes: Iterable[str] | None = None,
    ) -> None:
        """Change the name, topology or goals of an engagement, or merge metadata into it; None leaves what there is."""
        stream = self._stream(engagement_id)
        goals = None if goal_nodes is None else sorted(goal_nodes)
        self._put(
            lambda: build.engagement_labelled(
                stream, now_us(), name=name, metadata=freeze(metadata)[0], topology=topology, goal_nodes=goals
            )
        )

    def set_engagement_status(self, engagement_id: str, status: EngagementStatus) -> None:
        """Record a status that is no end: PAUSED ends the turn, ACTIVE begins the next one."""
        begins = status is EngagementStatus.ACTIVE
        stream = self._stream(engagement_id, begins_turn=begins)
        self._put(lambda: build.engagement_status(stream, now_us(), status))
        if not begins:
            stream.closed = True

    def end_engagement(
        self,
        engagement_id: str,
        status: EngagementStatus = EngagementStatus.COMPLETED,
        *,
        dropped_at: str | None = None,
        error: str | None = None,
    ) -> None:
        """End an engagement; `dropped_at` is the name of its last step, for one that was abandoned or failed."""
        stream = self._stream(engagement_id)
        self._put(lambda: build.engagement_ended(stream, now_us(), status, dropped_at=dropped_at, error=error))
        stream.closed = True

    # --- steps ---

    def start_step(
        self,
        engagement_id: str,
        name: str,
        *,
        tools: Sequence[str] | None = None,
        is_global: bool = False,
        parent: str | None = None,
        ns: str = "",
        attempt: int = 1,
        triggers: Sequence[str] = (),
        routes: Mapping[str, str] | None = None,
        state: Any = None,
    ) -> str:
        """Begin a step and return its id. `triggers` are ids of the steps that caused it."""
        step_id = new_id()
        stream = self._stream(engagement_id, begins_turn=True, only_if_closed=True)
        _remember(self._steps, step_id, (stream, name))
        self._put(
            lambda: build.step_started(
                stream,
                now_us(),
                step_id,
                name,
                tools=tools or (),
                is_global=is_global,
                parent_step_id=parent,
                ns=ns,
                attempt=attempt,
                triggers=triggers,
                routes=routes,
                state=freeze(state)[0],
            )
        )
        return step_id

    def end_step(
        self,
        step_id: str,
        status: StepStatus = StepStatus.COMPLETED,
        *,
        duration_ms: float | None = None,
        error: str | None = None,
        error_type: str | None = None,
        update: Any = None,
    ) -> None:
        """End a step; `duration_ms` None means that it was not measured."""
        found = self._step(step_id, "end of a step")
        if found is not None:
            stream, name = found
            self._put(
                lambda: build.step_ended(
                    stream,
                    now_us(),
                    step_id,
                    name,
                    status,
                    duration_us=micros(duration_ms),
                    error=error,
                    error_type=error_type,
                    update=freeze(update)[0],
                )
            )

    # --- what happens inside a step ---

    def record_event(
        self,
        step_id: str,
        kind: EventKind,
        name: str,
        *,
        payload: Mapping[str, Any] | None = None,
        duration_ms: float | None = None,
        error: str | None = None,
        tokens: TokenUsage | None = None,
        model: str | None = None,
        ttft_ms: float | None = None,
        error_type: str | None = None,
        subtype: str | None = None,
        at: datetime | None = None,
    ) -> None:
        """Record an event of any kind; `at` is when it began, None: now."""
        found = self._step(step_id, "event")
        if found is None:
            return

        def make() -> Draft:
            content, late_bound = freeze(payload or {})
            draft = build.event(
                found[0],
                now_us() if at is None else to_us(at),
                step_id,
                EventKind(kind),
                name,
                payload=content if isinstance(content, Mapping) else {"value": content},
                duration_us=micros(duration_ms),
                ttft_us=micros(ttft_ms),
                model=model,
                tokens=tokens_of(tokens),
                error=error,
                error_type=error_type,
                subtype=subtype,
            )
            if late_bound:
                draft.body["late_bound"] = True
            return draft

        self._put(make)

    def record_llm_call(
        self,
        step_id: str,
        name: str,
        *,
        prompt: int = 0,
        completion: int = 0,
        total: int = 0,
        duration_ms: float | None = None,
        model: str | None = None,
    ) -> None:
        """Record an LLM call with its token counts; `total` 0 means prompt + completion."""
        tokens = TokenUsage(prompt=prompt, completion=completion, total=total)
        payload = {"model": model} if model else {}
        self.record_event(
            step_id, EventKind.LLM_CALL, name, payload=payload, duration_ms=duration_ms, tokens=tokens, model=model
        )

    def record_extraction(self, step_id: str, extraction: Extraction) -> None:
        """Record structured data that the step pulled; it is the step's extraction and one of its events."""
        found = self._step(step_id, "extraction")
        if found is not None:
            self._put(lambda: build.extraction(found[0], now_us(), step_id, extraction.model_dump()))
            self.record_event(step_id, EventKind.EXTRACTION, extraction.schema_name, payload=extraction.values)

    def record_intent_switch(
        self, engagement_id: str, *, to_step: str, reason: str, from_step: str | None = None
    ) -> None:
        """Record that a global step was entered; `from_step` is the name of the step before it."""
        stream = self._stream(engagement_id)
        self._put(lambda: build.intent_switched(stream, now_us(), new_id(), to_step, reason, from_step))

    # --- the queue ---

    def submit(self, translate: Callable[[Any], Iterable[Draft]], payload: Any) -> None:
        """Queue something that `translate` will turn into drafts on the writer's thread. Never raises, never waits."""
        if self.is_closed:
            self.pipeline.drop("closed", _CLOSED)
        else:
            self.pipeline.submit(translate, payload)

    def backlog(self) -> int:
        """How many items wait for the writer."""
        return self.pipeline.backlog()

    def drop(self, reason: str, detail: str) -> None:
        """Count something that was not kept; the writer notes it with the next batch."""
        self.pipeline.note(reason, detail)

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until everything accepted before this call is committed; False when `timeout` seconds ran out."""
        return self.pipeline.flush(timeout)

    def stats(self) -> RecorderStats:
        """How many records were accepted, committed, are pending and were dropped, by reason.

        Recorders of one store share its writer, and so these counts.
        """
        return self.pipeline.stats()

    def close(self, timeout: float = 2.0) -> bool:
        """Flush, and take no more: later calls are counted as dropped. False when not all was committed in time."""
        done = self.pipeline.flush(timeout)
        self.is_closed = True
        self._release()
        return done

    def is_writer_thread(self) -> bool:
        """Whether the calling thread is this recorder's own writer."""
        return self.pipeline.is_writer_thread()

    def _put(self, make: Callable[[], Draft]) -> None:
        if self.is_closed:
            self.pipeline.drop("closed", _CLOSED)
            return
        try:
            self.pipeline.put(make())
        except Exception as error:  # fail-open: a payload that cannot even be copied must not stop the agent
            self.pipeline.drop("unrecordable", f"{type(error).__name__}: {error}")

    def _stream(self, engagement_id: str, *, begins_turn: bool = False, only_if_closed: bool = False) -> Stream:
        """The stream that records of this engagement go to now."""
        stream = self._streams.get(engagement_id)
        if stream is None:
            # Begun elsewhere (another process or recorder): the writer asks the store which turn it is in.
            new_turn = begins_turn and not only_if_closed
            stream = Stream(new_id(), engagement_id, new_turn=new_turn)
        elif stream.closed and begins_turn:
            stream = Stream(new_id(), engagement_id, new_turn=True, after=stream)
        else:
            return stream
        _remember(self._streams, engagement_id, stream)
        return stream

    def _step(self, step_id: str, what: str) -> tuple[Stream, str] | None:
        found = self._steps.get(step_id)
        if found is None:
            self.pipeline.drop("unknown_step", f"{what} for step {step_id!r}, which this recorder did not start")
        return found


def _remember(known: dict[str, Any], key: str, value: Any) -> None:
    known[key] = value
    while len(known) > _MAX_KNOWN:
        try:
            known.pop(next(iter(known)), None)
        except (RuntimeError, StopIteration):  # another thread is at it
            return
