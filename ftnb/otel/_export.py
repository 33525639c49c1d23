"""What is recorded, sent on as spans while it happens: a reader of the store beside the recorder, not in its way."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Mapping
from typing import Any

from ..core._optional import require
from ..core.errors import InvalidArgumentError, PartialTraceWarning
from ..interop._report import Report
from ..interop._span_form import CONVENTIONS, Convention, OutSpan
from ..interop._write import out_spans
from ..store.base import LogStore

_POLL_S = 0.5
_ENDS = ("engagement_ended", "engagement_status_changed")


class Export:
    """Sends each turn of an engagement when it has paused or ended; `close()` sends what is complete and stops.

    It reads the store on a thread of its own: a slow or absent collector delays spans, and never the agent.
    """

    def __init__(self, store: LogStore, exporter: Any, attributes: Convention) -> None:
        """`exporter` is a span exporter of OpenTelemetry's SDK."""
        self._store, self._exporter, self._attributes = store, exporter, attributes
        self._after = store.revision()[0]
        self._sent: set[tuple[str, str]] = set()
        self._stop = threading.Event()
        self.n_sent = 0
        """Spans that the exporter took."""
        self.n_failed = 0
        """Spans that it did not take."""
        self._thread = threading.Thread(target=self._run, name="ftnb-otel-export", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<ftnb.otel export: {self.n_sent} spans sent, {self.n_failed} refused>"

    def close(self, timeout: float = 5.0) -> None:
        """Send what has ended, and stop."""
        self._stop.set()
        self._thread.join(timeout)
        with contextlib.suppress(Exception):  # it is theirs, and nothing depends on it any more
            self._exporter.shutdown()

    def __enter__(self) -> Export:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while True:
            is_last = self._stop.wait(_POLL_S)
            try:
                self._send_new()
            except Exception as error:
                self.n_failed += 1
                message = f"spans could not be exported: {type(error).__name__}: {error}"
                with contextlib.suppress(Warning):  # where warnings are errors, this thread still goes on
                    warnings.warn(message, PartialTraceWarning, stacklevel=1)
            if is_last:
                return

    def _send_new(self) -> None:
        table = self._store.scan(["engagement_id", "seq"], types=_ENDS, after=self._after)
        if not len(table):
            return
        self._after = max(filter(None, table["seq"].to_pylist()), default=self._after)
        for engagement_id in dict.fromkeys(map(str, table["engagement_id"].to_pylist())):
            eng = self._store.get_engagement(engagement_id)
            found = list(out_spans(self._store, eng, self._attributes, Report("OTLP", "")))
            fresh = [one for one in found if one.end_us is not None and (one.trace, one.id) not in self._sent]
            if fresh:
                self._send(fresh)

    def _send(self, fresh: list[OutSpan]) -> None:
        result = self._exporter.export([_readable(one) for one in fresh])
        if getattr(result, "name", "") == "SUCCESS":
            self.n_sent += len(fresh)
            self._sent.update((one.trace, one.id) for one in fresh)
        else:
            self.n_failed += len(fresh)


def _readable(span: OutSpan) -> Any:
    """A span of the SDK."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

    def context(span_id: str) -> SpanContext:
        return SpanContext(int(span.trace, 16), int(span_id, 16), False, TraceFlags(TraceFlags.SAMPLED))

    events = []
    if span.error is not None:
        raised = {"exception.message": span.error, "exception.type": span.error_type or "Exception"}
        events.append(Event("exception", raised, (span.end_us or span.start_us) * 1000))
    code = StatusCode.OK if span.error is None else StatusCode.ERROR
    return ReadableSpan(
        span.name,
        context=context(span.id),
        parent=None if span.parent is None else context(span.parent),
        resource=Resource.create({"service.name": "ftnb"}),
        attributes=span.attributes,
        events=events,
        status=Status(code, span.error),
        start_time=span.start_us * 1000,
        end_time=(span.end_us or span.start_us) * 1000,
        instrumentation_scope=InstrumentationScope("ftnb"),
    )


def export(
    store: LogStore,
    endpoint: str | None = None,
    *,
    exporter: Any = None,
    headers: Mapping[str, str] | None = None,
    attributes: Convention = "both",
) -> Export:
    """Send what `store` takes on from now to an OTLP collector over HTTP, or to any span exporter of the SDK.

    `endpoint` is that of traces, as `http://localhost:4318/v1/traces`. Raises MissingPackageError,
    InvalidArgumentError.
    """
    if attributes not in CONVENTIONS:
        raise InvalidArgumentError(f"no attributes {attributes!r}; known: {', '.join(CONVENTIONS)}")
    if (endpoint is None) == (exporter is None):
        raise InvalidArgumentError("give an endpoint of a collector, or an exporter of OpenTelemetry's SDK")
    if exporter is None:
        module = require(
            "opentelemetry.exporter.otlp.proto.http.trace_exporter", feature="ftnb.otel.export", extra="otel-export"
        )
        exporter = module.OTLPSpanExporter(endpoint=endpoint, headers=dict(headers or {}))
    return Export(store, exporter, attributes)
