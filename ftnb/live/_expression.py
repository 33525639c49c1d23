"""The small language of alerts: comparisons of quantities, read by Python's parser and never evaluated as code.

    tokens > 50_000                        errors >= 1 and status == "active"
    step.name == "search" and step.visit > 3      event.kind == "tool_call" and event.failed
    metadata.user_id == "u-42"             "refund" in name              duration_ms / steps > 2_000

Numbers, texts, True, False, None, lists of these; and, or, not, comparisons (also `in`), + - * / %, parentheses.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Literal

from ..core.errors import InvalidArgumentError

Level = Literal["engagement", "step", "event"]
Values = Mapping[str, Any]
Compiled = Callable[[Values], Any]

QUANTITIES: dict[str, str] = {
    "tokens": "tokens so far",
    "prompt_tokens": "of these, prompt",
    "completion_tokens": "of these, completion",
    "tokens_per_s": "over the last 10 s",
    "steps": "steps begun",
    "running": "steps that run now",
    "errors": "failed events, and failed steps that hold none",
    "llm_calls": "LLM calls",
    "tool_calls": "tool calls",
    "turns": "turns begun",
    "duration_ms": "since the start, or until the end",
    "idle_ms": "since the last record, while it is active",
    "dropped": "records known to be missing",
    "status": "active, paused, completed, failed, abandoned",
    "name": "the workflow's name",
    "id": "the engagement's id",
    "step.name": "the node's name",
    "step.ns": "subgraph path",
    "step.status": "running, completed, failed, waiting …",
    "step.duration_ms": "0 until it ended",
    "step.tokens": "tokens of the step",
    "step.visit": "n-th visit of the node",
    "step.attempt": "n-th attempt of the visit",
    "step.failed": "whether it failed",
    "event.kind": "llm_call, tool_call, extraction, log, error",
    "event.name": "model, tool or logger",
    "event.model": "the model that answered",
    "event.duration_ms": "0 where not measured",
    "event.tokens": "tokens of the call",
    "event.failed": "whether it failed",
}
"""What an alert can ask about; `metadata.<key>` besides."""

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_MAX_LENGTH = 1_000
_MAX_DEPTH = 40


class Expression:
    """A condition, compiled."""

    def __init__(self, text: str) -> None:
        """Raises InvalidArgumentError for what is not understood, with what there is."""
        self.text = text
        self.names: set[str] = set()
        self._test = self._compile(_parse(text), 0)
        if not self.names:
            raise _not_understood(text, "it asks about nothing")

    @property
    def level(self) -> Level:
        """What it is asked of: each event, each step, or the engagement."""
        for level in ("event", "step"):
            if any(name.startswith(f"{level}.") for name in self.names):
                return level
        return "engagement"

    def holds(self, values: Values) -> bool:
        """Whether it is true of `values`; what cannot be compared (a missing value) is not."""
        try:
            return bool(self._test(values))
        except (TypeError, ValueError, ZeroDivisionError, OverflowError):
            return False

    def _compile(self, node: ast.expr, depth: int) -> Compiled:
        if depth > _MAX_DEPTH:
            raise _not_understood(self.text, "it is nested too deep")
        match node:
            case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
                return lambda _: value
            case ast.List(elts=items) | ast.Tuple(elts=items):
                parts = [self._compile(item, depth + 1) for item in items]
                return lambda values: [part(values) for part in parts]
            case ast.Name() | ast.Attribute():
                return self._quantity(node)
            case ast.BoolOp(op=op, values=operands):
                tests = [self._compile(one, depth + 1) for one in operands]
                together = all if isinstance(op, ast.And) else any
                return lambda values: together(test(values) for test in tests)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self._compile(operand, depth + 1)
                return lambda values: not inner(values)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                number = self._compile(operand, depth + 1)
                return lambda values: -number(values)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return self._arithmetic(_ARITHMETIC[type(op)], left, right, depth)
            case ast.Compare(left=left, ops=ops, comparators=comparators) if all(type(op) in _COMPARE for op in ops):
                return self._comparison(left, ops, comparators, depth)
        raise _not_understood(self.text, f"{ast.unparse(node)!r} is no comparison, number, text or quantity")

    def _arithmetic(self, apply: Callable[[Any, Any], Any], left: ast.expr, right: ast.expr, depth: int) -> Compiled:
        a, b = self._compile(left, depth + 1), self._compile(right, depth + 1)

        def compute(values: Values) -> Any:
            x, y = a(values), b(values)
            # Numbers only: a text times a number could be as large as memory.
            if not isinstance(x, int | float) or not isinstance(y, int | float):
                raise TypeError("arithmetic is for numbers")
            return apply(x, y)

        return compute

    def _comparison(self, left: ast.expr, ops: list[ast.cmpop], others: list[ast.expr], depth: int) -> Compiled:
        first = self._compile(left, depth + 1)
        rest = [(_COMPARE[type(op)], self._compile(one, depth + 1)) for op, one in zip(ops, others, strict=True)]

        def compare(values: Values) -> bool:
            a = first(values)
            for holds, other in rest:
                b = other(values)
                if not holds(a, b):
                    return False
                a = b
            return True

        return compare

    def _quantity(self, node: ast.expr) -> Compiled:
        name = ast.unparse(node)
        if name.startswith("metadata.") and name.count(".") == 1:
            key = name.removeprefix("metadata.")
            self.names.add(name)
            return lambda values: values["metadata"].get(key)
        if name not in QUANTITIES:
            near = get_close_matches(name, QUANTITIES, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise _not_understood(self.text, f"there is no quantity {name!r}.{hint}")
        self.names.add(name)
        return lambda values: values.get(name)


def _parse(text: Any) -> ast.expr:
    if not isinstance(text, str) or not text.strip():
        raise InvalidArgumentError(f"an alert is a condition, as 'tokens > 50_000'; got {text!r}")
    if len(text) > _MAX_LENGTH:
        raise InvalidArgumentError(f"a condition has at most {_MAX_LENGTH} characters; this one has {len(text)}")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f" (at character {error.offset})" if isinstance(error, SyntaxError) and error.offset else ""
        raise _not_understood(text, f"{getattr(error, 'msg', error)}{where}") from None


def _not_understood(text: str, why: str) -> InvalidArgumentError:
    known = ", ".join(QUANTITIES)
    return InvalidArgumentError(
        f"alert({text[:200]!r}) is not understood: {why.rstrip('.?')}{'?' if why.endswith('?') else '.'} "
        f"Quantities: {known}, metadata.<key>. Example: 'tokens > 50_000 and errors >= 1'"
    )
