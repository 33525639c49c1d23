"""What requests say again and again: the messages of a conversation, the tools that a model may use.

Each is made readable the first time that it is sent. Runs on the writer's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

import orjson

from ..core._lasting import Lasting

_MAX_BYTES = 4_000_000
"""Of the JSON of items that were seen lately; as much again may be kept of those before."""
_ITEM_BYTES = 500
"""What is kept of an item beside its JSON, about."""
_Key = tuple[Callable[[Any], Any], bytes]


class Again:
    """What was made of the items of the requests that one session records."""

    def __init__(self) -> None:
        self._young: dict[_Key, Lasting] = {}
        self._old: dict[_Key, Lasting] = {}
        self._n_bytes = 0

    def __call__(self, make: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """`make` of each of `items`, which are JSON as it was parsed; the same object for what says the same."""
        found: list[Any] = []
        young, dumps, options = self._young, orjson.dumps, orjson.OPT_SORT_KEYS
        for item in items:
            if type(item) is dict:
                try:
                    key = make, dumps(item, None, options)
                except TypeError:  # an integer beyond 64 bits
                    found.append(make(item))
                    continue
                found.append(young.get(key) or self._other(key, item))
            else:
                found.append(make(item))
        return found

    def _other(self, key: _Key, item: dict[str, Any]) -> Any:
        """What was not asked for lately, or never."""
        known = self._old.get(key)
        if known is None:
            made = key[0](item)
            if type(made) is not dict or not made:
                return made
            known = Lasting(made, key[1] if made == item else None)
        self._n_bytes += len(key[1]) + _ITEM_BYTES
        if self._n_bytes > _MAX_BYTES:
            self._old, self._young, self._n_bytes = dict(self._young), self._young, 0
            self._young.clear()
        self._young[key] = known
        return known


def again(target: Any) -> Again:
    """The one of the session that `target` records for."""
    found = _known.get(target)
    if found is None:
        found = _known[target] = Again()
    return found


_known: WeakKeyDictionary[Any, Again] = WeakKeyDictionary()
