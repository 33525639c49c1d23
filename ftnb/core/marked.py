"""What stands in the place of a recorded value that is no plain data: a message, a dataframe, a masked secret."""

from __future__ import annotations

from collections.abc import Iterable
from reprlib import Repr
from typing import Any, NoReturn

MARK = "$ftnb"

_short = Repr()
_short.maxstring = _short.maxother = 200
_short.maxdict = _short.maxlist = 6
_short.maxlevel = 4


class Marked(dict[str, Any]):
    """A marker as it is read back: the dict that it is, read-only, whose fields are attributes too.

    An `AIMessage` that was recorded is `{"$ftnb": "object", "type": "AIMessage", "data": {"content": "hi", …}}`; its
    `m.content` and `m["content"]` are "hi", and it is shown as `AIMessage(content='hi')`. Where a field has the name of
    a method of dict, or of an entry of the marker, `m["data"]` holds it.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        fields = self._fields()
        if name in fields and not name.startswith("__"):
            return fields[name]
        there = ", ".join(sorted(map(str, fields))) or "none"
        raise AttributeError(f"no field {name!r} was recorded of this {self.get('type', 'value')}; fields: {there}")

    def __missing__(self, key: Any) -> Any:
        return self._fields()[key]

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *map(str, self._fields())]

    def __repr__(self) -> str:
        kind = self.get(MARK)
        if kind != "object":
            about = ", ".join(f"{key} {_short.repr(item)}" for key, item in self.items() if key != MARK)
            return f"<{kind}: {about}>"
        name = str(self.get("type", "object")).rpartition(".")[2]
        if "data" not in self:
            return str(self.get("text", f"<{name}>"))
        if not isinstance(self["data"], dict):
            return f"{name}({_short.repr(self['data'])})"
        shown = {key: item for key, item in self["data"].items() if not _is_empty(item)}
        if name.endswith(("Message", "MessageChunk")):
            shown.pop("type", None)  # the name says it
        return f"{name}({', '.join(f'{key}={_short.repr(item)}' for key, item in shown.items())})"

    def __reduce__(self) -> Any:
        return (Marked, (dict(self),))

    def __copy__(self) -> Marked:
        return self

    def copy(self) -> Marked:
        """Itself: it does not change."""
        return self

    def _fields(self) -> dict[Any, Any]:
        data = self.get("data")
        return data if isinstance(data, dict) else {key: item for key, item in self.items() if key != MARK}

    def _read_only(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("what was recorded is read-only; dict(…) makes a copy that can be changed")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = _read_only
    __setattr__ = __ior__ = _read_only


def _is_empty(value: Any) -> bool:
    return value is None or value is False or (isinstance(value, (str, list, dict, tuple)) and not value)
