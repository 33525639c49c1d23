"""How recorded values show themselves: a part, how much more there is, and messages as a conversation.

A value stays what it was (a dict is a dict); only its display is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from ..core.canonical import MARK
from ..core.errors import InvalidArgumentError
from ..core.marked import Marked

_ITEMS = 12
_TEXT = 1_500
_LINE = 160
_DEPTH = 4
_ROLES = {"human": "user", "ai": "assistant"}
STYLE = "font:13px/1.5 system-ui,sans-serif"
FAINT = "opacity:.65"


class Shown:
    """What a recorded value adds to itself."""

    value: Any

    def show(self, path: str | int = "", start: int = 0, n: int = _ITEMS) -> Page:
        """`n` items from `start` of the part at `path`, as `"messages"` or `"plan.0.title"`; "" is the whole.

        Raises InvalidArgumentError when there is no such part.
        """
        return Page(_part(self.value, str(path)), start, n, str(path))

    def __repr__(self) -> str:
        return line(self.value, 2_000, hint=True)

    def _repr_html_(self) -> str:
        return html(self.value)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


class ShownDict(Shown, dict[str, Any]):
    """A recorded mapping."""

    @property
    def value(self) -> dict[str, Any]:
        """The whole, as a plain dict."""
        return dict(self)


class ShownList(Shown, list[Any]):
    """A recorded list."""

    @property
    def value(self) -> list[Any]:
        """The whole, as a plain list."""
        return list(self)


class ShownText(Shown, str):
    """A recorded text."""

    __slots__ = ()

    @property
    def value(self) -> str:
        """The whole, as a plain str."""
        return str.__str__(self)

    def __str__(self) -> str:
        return str.__str__(self)


class Page:
    """A part of a value."""

    def __init__(self, value: Any, start: int, n: int, path: str) -> None:
        self.value, self.start, self.n, self.path = value, max(start, 0), max(n, 1), path

    def _slice(self) -> tuple[Any, int]:
        value, end = self.value, self.start + self.n
        if isinstance(value, str):
            return value[self.start * 100 : end * 100], max(len(value) - end * 100, 0)
        if isinstance(value, Mapping) and not isinstance(value, Marked):
            return dict(list(value.items())[self.start : end]), max(len(value) - end, 0)
        if isinstance(value, Sequence):
            return list(value[self.start : end]), max(len(value) - end, 0)
        return value, 0

    def _more(self, n_more: int) -> str:
        if not n_more:
            return ""
        what = "characters" if isinstance(self.value, str) else "more"
        return f"… {n_more:,} {what}: .show({self.path!r}, start={self.start + self.n})"

    def __repr__(self) -> str:
        part, n_more = self._slice()
        lines = conversation(part).splitlines() if is_conversation(part) else [line(part, 4_000)]
        return "\n".join([*lines, *filter(None, [self._more(n_more)])])

    def _repr_html_(self) -> str:
        part, n_more = self._slice()
        more = f'<div style="{FAINT}">{escape(self._more(n_more))}</div>' if n_more else ""
        return html(part, items=self.n) + more


def shown(value: Any) -> Any:
    """`value`, with a display of its own where it is a plain dict, list or long text."""
    if type(value) is dict:
        return ShownDict(value)
    if type(value) is list:
        return ShownList(value)
    return ShownText(value) if type(value) is str and len(value) > _LINE else value


def _part(value: Any, path: str) -> Any:
    at = ""
    for name in filter(None, path.replace("[", ".").replace("]", "").split(".")):
        try:
            value = value[int(name)] if isinstance(value, (list, tuple)) else value[name]
        except (KeyError, IndexError, ValueError, TypeError):
            known = _parts_of(value)
            raise InvalidArgumentError(f"no part {name!r} in {at or 'this value'}; it has: {known[:300]}") from None
        at = f"{at}.{name}" if at else name
    return value


def _parts_of(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(map(str, value))
    return f"{len(value):,} items, by number" if isinstance(value, (list, tuple)) else "nothing"


# --- text ---


def line(value: Any, width: int = _LINE, *, hint: bool = False) -> str:
    """`value` in at most about `width` characters, saying what was left out."""
    text = _text(value, width, 0)
    if len(text) > width:
        rest = len(text) - width
        text = f"{text[:width]}… ({rest:,} characters more)"
    return text + ("  (.value is the whole)" if hint and "more)" in text else "")


def _text(value: Any, room: int, depth: int) -> str:
    if isinstance(value, str):
        cut = value[: max(room, 20)]
        return repr(str.__str__(cut)) + (f"… ({len(value) - len(cut):,} more)" if len(cut) < len(value) else "")
    if isinstance(value, Marked):
        role = role_of(value)
        return repr(value) if role is None else f"{role[0]}: {line(role[1], 300)}{_called(role[2])}"
    if depth >= _DEPTH and isinstance(value, (dict, list, tuple, set)) and value:
        return f"{type(value).__name__} of {len(value):,}"
    if isinstance(value, dict):
        items = list(value.items())
        parts = [f"{key!r}: {_text(item, room // 2, depth + 1)}" for key, item in items[:_ITEMS]]
        more = [f"… ({len(items) - _ITEMS:,} more)"] if len(items) > _ITEMS else []
        return "{" + ", ".join([*parts, *more]) + "}"
    if isinstance(value, (list, tuple)):
        parts = [_text(item, room // 2, depth + 1) for item in value[:_ITEMS]]
        more = [f"… ({len(value) - _ITEMS:,} more)"] if len(value) > _ITEMS else []
        marks = "()" if isinstance(value, tuple) else "[]"
        return marks[0] + ", ".join([*parts, *more]) + marks[1]
    return repr(value)[: room + 50]


def role_of(message: Any) -> tuple[str, Any, list[tuple[str, Any]]] | None:
    """Who says what in a chat message, and the tools it calls (name, arguments); None when it is no message."""
    if isinstance(message, Marked):
        kind = str(message.get("type", "")).rpartition(".")[2]
        data = message.get("data")
        if (
            message.get(MARK) != "object"
            or not kind.endswith(("Message", "MessageChunk"))
            or not isinstance(data, dict)
        ):
            return None
        role = str(data.get("type") or kind).removesuffix("MessageChunk").removesuffix("Message").lower()
        role = f"tool {data['name']}" if role == "tool" and data.get("name") else _ROLES.get(role, role)
        return role, data.get("content"), _calls(data.get("tool_calls"))
    if type(message) in (dict, ShownDict) and "content" in message and ("role" in message or "type" in message):
        role = str(message.get("role") or message.get("type"))
        return _ROLES.get(role, role), message["content"], _calls(message.get("tool_calls"))
    is_pair = isinstance(message, (tuple, list)) and len(message) == 2 and message[0] in (
        "user", "human", "ai", "assistant", "system")  # fmt: skip
    return (_ROLES.get(message[0], message[0]), message[1], []) if is_pair else None


def _calls(calls: Any) -> list[tuple[str, Any]]:
    found = []
    for call in calls if isinstance(calls, (list, tuple)) else ():
        if isinstance(call, Mapping):
            function = call.get("function")
            inner = function if isinstance(function, Mapping) else call
            found.append((str(inner.get("name", "?")), inner.get("args", inner.get("arguments"))))
    return found


def _called(calls: Iterable[tuple[str, Any]]) -> str:
    return "".join(f" → {name}({line(args, 120)})" for name, args in calls)


def is_conversation(value: Any) -> bool:
    """Whether `value` is a list of chat messages, and nothing else."""
    return isinstance(value, list) and len(value) > 0 and all(role_of(item) is not None for item in value)


def conversation(messages: Sequence[Any]) -> str:
    """Messages as lines of text."""
    lines = []
    for message in messages:
        role, content, calls = role_of(message) or ("?", message, [])
        said = content if isinstance(content, str) else line(content, 600)
        lines.append(f"{role}: {said[:_TEXT]}" + (f"… ({len(said) - _TEXT:,} more)" if len(said) > _TEXT else ""))
        lines += [f"  → {name}({line(args, 300)})" for name, args in calls]
    return "\n".join(lines)


# --- HTML ---


def html(value: Any, *, items: int = _ITEMS) -> str:
    """`value` as HTML: nested parts fold, long ones say how much more there is."""
    return f'<div style="{STYLE}">{_html(value, items, 0)}</div>'


def _html(value: Any, items: int, depth: int) -> str:
    if is_conversation(value):
        return _bubbles(value, items)
    if isinstance(value, Marked):
        role = role_of(value)
        return _bubbles([value], items) if role is not None else escape(line(value, 600))
    if isinstance(value, dict) and value and depth < _DEPTH:
        return _table([(str(key), item) for key, item in list(value.items())[:items]], len(value), items, depth)
    if isinstance(value, (list, tuple)) and value and depth < _DEPTH:
        return _table([(str(at), item) for at, item in enumerate(value[:items])], len(value), items, depth)
    if isinstance(value, str):
        text = escape(value[:_TEXT])
        more = _more(len(value) - _TEXT, "characters more") if len(value) > _TEXT else ""
        return f'<span style="white-space:pre-wrap">{text}</span>{more}' if text else '<i style="opacity:.6">empty</i>'
    return f"<code>{escape(line(value, 600))}</code>"


def _table(pairs: list[tuple[str, Any]], total: int, items: int, depth: int) -> str:
    rows = "".join(
        f'<tr><td style="vertical-align:top;text-align:left;padding:1px 10px 1px 0;{FAINT}">{escape(key)}</td>'
        f'<td style="text-align:left;padding:1px 0">{_folded(item, items, depth + 1)}</td></tr>'
        for key, item in pairs
    )
    more = _more(total - len(pairs), "more; .show(start=…) pages, .value is the whole") if total > len(pairs) else ""
    return f'<table style="border-collapse:collapse;{STYLE}">{rows}</table>{more}'


def _folded(value: Any, items: int, depth: int) -> str:
    is_large = isinstance(value, (dict, list, tuple)) and not isinstance(value, Marked) and len(value) > 3
    if not is_large or is_conversation(value):
        return _html(value, items, depth)
    what = f"{type(value).__name__} of {len(value):,}".removeprefix("Shown")
    return f"<details><summary>{escape(what)}</summary>{_html(value, items, depth)}</details>"


def _bubbles(messages: Sequence[Any], items: int) -> str:
    parts = []
    shown_from = max(len(messages) - max(items, 1), 0)
    if shown_from:
        parts.append(_more(shown_from, "earlier; .show(…, start=0) pages"))
    for message in messages[shown_from:]:
        role, content, calls = role_of(message) or ("?", message, [])
        text = content if isinstance(content, str) else line(content, _TEXT)
        said = escape(text[:_TEXT]) + (_more(len(text) - _TEXT, "characters more") if len(text) > _TEXT else "")
        tools = "".join(f"<div><code>→ {escape(name)}({escape(line(args, 300))})</code></div>" for name, args in calls)
        parts.append(
            '<div style="margin:3px 0;padding:2px 10px;border-left:3px solid rgba(128,128,128,.5)">'
            f'<b style="{FAINT}">{escape(role)}</b> <span style="white-space:pre-wrap">{said}</span>{tools}</div>'
        )
    return "".join(parts)


def _more(n: int, what: str) -> str:
    return f'<span style="{FAINT}"> … {n:,} {what}</span>'
