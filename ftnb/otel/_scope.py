"""Who records a call of a model that a span tells of, and a captured SDK below it sees, too."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace

from ..core._call_scope import CallScope


class SpanScope(CallScope):
    """The call that a span stands for.

    While the span is the current one, what is called inside is this call, and the span records it. A span that is
    merely open claims nothing: between two chunks of a stream, other calls are made in the same context. Nor does one
    of which nobody can tell yet whether it is a call of a model: then the SDK records, and the span leaves it alone.
    """

    __slots__ = ("_is_known", "_span_id", "others")

    def __init__(self, span_id: int, *, is_known: bool) -> None:
        """`is_known`: the span has said that it is a call of a model."""
        self._span_id = span_id
        self._is_known = is_known
        self.others: list[Any] = []
        """Calls that were recorded by those who told of them."""
        super().__init__("span")

    @property
    def is_firm(self) -> bool:
        """Whether a call that is made here is this one."""
        return self._is_known and trace.get_current_span().get_span_context().span_id == self._span_id

    @is_firm.setter
    def is_firm(self, value: bool) -> None:
        """It is told by the span, never set."""

    def tell(self, facts: Any) -> None:
        """A layer inside has seen a call: this one, or one of its own."""
        (self.inner if self.is_firm else self.others).append(facts)

    @property
    def is_recorded(self) -> bool:
        """Whether somebody else has recorded the call."""
        return bool(self.others) and not self.inner
