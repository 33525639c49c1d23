"""Taking the place of functions, and giving it back: exactly what was there, as the very same objects."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

from ..langgraph_adapter.calls import ANSWERS


class Patch(Protocol):
    """One place that is taken."""

    def put(self) -> None: ...
    def restore(self) -> bool: ...


class AttributePatch:
    """A function that is an attribute of a class or module."""

    def __init__(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """`make` is given what is there and makes what takes its place. Raises KeyError where nothing is there."""
        self._owner = owner
        self._name = name
        self._original = vars(owner)[name]
        self._ours = functools.wraps(self._original)(make(self._original))

    def put(self) -> None:
        """Take the place."""
        setattr(self._owner, self._name, self._ours)

    def restore(self) -> bool:
        """Give it back; False where somebody else has taken the place since, and keeps ours inside."""
        if vars(self._owner).get(self._name) is not self._ours:
            return False
        setattr(self._owner, self._name, self._original)
        return True


class CellPatch:
    """A function that another one closes over: whoever holds the outer one, from whenever, is seen too."""

    def __init__(self, function: Any, variable: str, make: Callable[[Any], Any]) -> None:
        """Raises KeyError where `function`, and what it wraps, closes over no such variable."""
        while variable not in (names := getattr(getattr(function, "__code__", None), "co_freevars", ())):
            if not hasattr(function, "__wrapped__"):
                raise KeyError(variable)
            function = function.__wrapped__
        self._cell = function.__closure__[names.index(variable)]
        self._original = self._cell.cell_contents
        self._ours = functools.wraps(self._original)(make(self._original))

    def put(self) -> None:
        """Take the place."""
        self._cell.cell_contents = self._ours

    def restore(self) -> bool:
        """Give it back; False where somebody else has taken the place since."""
        if self._cell.cell_contents is not self._ours:
            return False
        self._cell.cell_contents = self._original
        return True


class Switch:
    """Whether the functions of one capture still look: one that cannot be taken out again only passes on."""

    __slots__ = ("is_for_replays", "is_put")

    def __init__(self) -> None:
        self.is_put = True
        self.is_for_replays = False
        """Calls of what is replayed are looked at, and no others."""

    @property
    def is_on(self) -> bool:
        """Whether a call that is made here and now is looked at."""
        return self.is_put and (not self.is_for_replays or ANSWERS.get() is not None)
