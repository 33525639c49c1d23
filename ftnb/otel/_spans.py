"""From spans to what the assembler takes: steps, calls, and engagements around them. Runs on the writer's thread.

Whether a span is a step decides where everything inside it goes, and some instrumentations tell only at its end. So
the spans of a trace wait while one of them is undecided, and are taken in the order of time as soon as none is.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..interop import _semconv
from ..interop._vendor import in_common_names
from ..langgraph_adapter._assembler import Assembler
from ..langgraph_adapter._runs import Engaged
from ._trace import Around, Node, Trace

_MAX_TRACES = 1_000
"""Traces remembered after their end, so that spans that come late find their engagement."""


class Began(NamedTuple):
    """What the caller's thread could see of a span as it began."""

    key: tuple[int, int]
    """Trace id and span id."""
    parent: tuple[int, int] | None
    name: str
    start_ns: int
    attributes: dict[str, Any]
    kind: _semconv.Kind | None
    step: Any
    """Run id of the step of ours in which it began; None: in none."""
    scope: Any
    """The block in which it began, where it is in no step."""
    place: Any
    """Where in that."""
    claimed: bool
    """Somebody records the call of a model inside which it began."""
    is_remote: bool
    """Its parent is in another process."""
    library: str


class Spans:
    """The traces that one assembler sees."""

    def __init__(self, assembler: Assembler) -> None:
        self._assembler = assembler
        self._traces: OrderedDict[int, Trace] = OrderedDict()
        self._conversations: OrderedDict[str, Engaged] = OrderedDict()
        """Engagements by conversation."""
        self._tops: OrderedDict[Any, Around] = OrderedDict()
        assembler.before_stop.append(lambda: Spans.settle(assembler))

    @classmethod
    def of(cls, assembler: Assembler) -> Spans:
        """The spans of an assembler."""
        found = _all.get(assembler)
        if found is None:
            found = _all[assembler] = cls(assembler)
        return found

    @staticmethod
    def began(assembler: Assembler, began: Began) -> None:
        """A span began."""
        self = Spans.of(assembler)
        trace = self._trace(began.key[0])
        if began.key in trace.nodes:
            return  # told by a second processor
        node = Node.of(began, trace.nodes.get(began.parent) if began.parent is not None else None)
        trace.begin(node)
        trace.go_on()

    @staticmethod
    def ended(
        assembler: Assembler, key: tuple[int, int], span: Any, inner: Sequence[Any], is_recorded: bool = False
    ) -> None:
        """A span ended; `inner` is what captured SDKs saw of it, `is_recorded`: and have recorded themselves."""
        self = Spans.of(assembler)
        trace = self._trace(key[0])
        node = trace.nodes.get(key)
        if node is None:
            # It began before anybody recorded.
            parent = None if span.parent is None else (span.parent.trace_id, span.parent.span_id)
            late = Began(
                key, parent, span.name, span.start_time or 0, in_common_names(dict(span.attributes or {})), None, None,
                None, None, False, False, "",
            )  # fmt: skip
            node = Node.of(late, trace.nodes.get(parent) if parent is not None else None)
            trace.begin(node)
        if node.end_ns is not None:
            return
        node.take(span, inner)
        node.is_recorded = is_recorded
        trace.end(node)
        trace.go_on()

    @staticmethod
    def settle(assembler: Assembler) -> None:
        """What waits is taken as it is now."""
        for trace in Spans.of(assembler)._traces.values():
            trace.go_on(is_final=True)

    def _trace(self, trace_id: int) -> Trace:
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = self._traces[trace_id] = Trace(trace_id, self._assembler, self._conversations, self._tops)
            if len(self._traces) > _MAX_TRACES:
                idle = next((one for one, other in self._traces.items() if not other.n_open), None)
                if idle is not None:
                    del self._traces[idle]
        return trace


def key_of(context: Any) -> tuple[int, int]:
    """What names a span: trace id and span id."""
    return context.trace_id, context.span_id


_all: weakref.WeakKeyDictionary[Assembler, Spans] = weakref.WeakKeyDictionary()
