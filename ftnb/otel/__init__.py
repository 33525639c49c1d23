"""Spans of OpenTelemetry as part of the record: `provider.add_span_processor(ftnb.otel.SpanProcessor())`.

GenAI and OpenInference spans that end inside a recorded step become events of it; a whole trace of another framework
becomes an engagement with its steps. `ftnb.otel.export(store, endpoint)` sends what is recorded on to a collector.
Needs the package opentelemetry-sdk: `pip install 'ftnb[otel]'`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._export import export
    from ._processor import SpanProcessor

__all__ = ["SpanProcessor", "export"]


def __getattr__(name: str) -> Any:
    if name == "export":
        from ._export import export

        return export
    if name != "SpanProcessor":
        raise AttributeError(f"module 'ftnb.otel' has no attribute {name!r}; public names: {', '.join(__all__)}")
    from ..core._optional import require

    require("opentelemetry.sdk.trace", feature="ftnb.otel.SpanProcessor", extra="otel")
    from ._processor import SpanProcessor

    return SpanProcessor
