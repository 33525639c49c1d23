"""The span processor: on the caller's thread it only takes references, and notes in which step of ours a span began."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.sdk.trace import SpanProcessor as BaseSpanProcessor

from ..core._call_scope import outer
from ..interop._semconv import kind_of
from ..interop._vendor import in_common_names
from ..langgraph_adapter import _events as events
from ..langgraph_adapter import _place
from ..langgraph_adapter._capture import Capture
from ..langgraph_adapter._scope import SCOPE
from ._scope import SpanScope
from ._spans import Began, Spans, key_of

_LANGCHAIN = ("openinference.instrumentation.langchain", "opentelemetry.instrumentation.langchain", "langsmith")
"""Scopes whose spans tell of what LangChain's callbacks tell, too."""


class SpanProcessor(BaseSpanProcessor):
    """Records GenAI and OpenInference spans: add it to a TracerProvider, once.

    Spans go where the process records when they begin: `%load_ext ftnb` or `ftnb.start(...)`. It exports nothing and
    changes no span. A call that a callback of LangChain or a captured SDK records, too, is recorded once.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], tuple[Capture, SpanScope | None]] = {}
        """Spans under way, with who records them."""
        self._used: dict[int, Capture] = {}

    def __repr__(self) -> str:
        return f"<ftnb.otel.SpanProcessor: {len(self._open)} spans under way>"

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """A span begins. Never raises."""
        target = _place.target()
        if target is None:
            return
        try:
            self._begin(target, span)
        except Exception as error:
            target.drop("a span's start", error)

    def _begin(self, target: Capture, span: Span) -> None:
        attributes = in_common_names(dict(span.attributes or {}))
        kind, key = kind_of(attributes), key_of(span.context)
        about = span.instrumentation_scope
        scope_name = "" if about is None else about.name
        is_seen = scope_name.startswith(_LANGCHAIN) and _place.handlers is not None
        claimed = outer() is not None
        mine: SpanScope | None = None
        if not is_seen and not claimed and kind in ("llm", "embedding", None):
            mine = SpanScope(span.context.span_id, is_known=kind is not None)
            mine.open()
        block = SCOPE.get()
        place = _place.place_in(block)
        step = None if place is None else place.key
        scope = block if step is None else None
        self._open[key] = target, mine
        self._used[id(target)] = target
        began = Began(
            key, None if span.parent is None else (span.parent.trace_id, span.parent.span_id), span.name,
            span.start_time or 0, attributes, "other" if is_seen else kind, step, scope, place, claimed,
            bool(span.parent is not None and span.parent.is_remote), scope_name,
        )  # fmt: skip
        target.send(events.CALL, Spans.began, began)

    def on_end(self, span: ReadableSpan) -> None:
        """A span ended. Never raises."""
        context = span.context
        found = None if context is None else self._open.pop((context.trace_id, context.span_id), None)
        target, mine = found if found is not None else (_place.target(), None)
        if target is None or context is None:
            return
        try:
            if mine is not None:
                mine.close()
            key = (context.trace_id, context.span_id)
            inner, is_recorded = ([], False) if mine is None else (mine.inner, mine.is_recorded)
            target.send(events.CALL, Spans.ended, key, span, inner, is_recorded)
        except Exception as error:
            target.drop("a span's end", error)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Record what is known of spans under way; whether all of it was written in time."""
        done = True
        for target in [one for one in self._used.values() if not one.recorder.is_closed]:
            target.send(events.CALL, Spans.settle)
            done = target.recorder.flush(timeout_millis / 1000) and done
        return done

    def shutdown(self) -> None:
        """The provider is shut down: what is known is recorded."""
        self.force_flush()
        self._open.clear()
        self._used.clear()
