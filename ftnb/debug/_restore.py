"""Live objects again from what was recorded of them.

The trace holds the name of an object's class and its data. Messages and other things of LangChain are known; another
class is looked for among the modules that are loaded, and taken when exactly one of that name fits the data. Nothing is
imported, and nothing runs but the class's own constructor or validator.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any

from ..core.canonical import MARK
from ..core.marked import Marked

_FIRST = ("langchain_core.messages", "langchain_core.documents", "langchain_core.prompt_values", "langgraph.types")
_CONTAINERS = (list, tuple, set, frozenset, deque)


class Missing(Exception):
    """A value cannot be had back from its record; `path` is where it is, `why` what is missing."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path or 'the value'} {why}")
        self.path, self.why = path, why


def restore(value: Any, path: str = "") -> Any:
    """`value` as it is read from the record, with each object that it holds made again. Raises Missing."""
    kind = type(value)
    if kind is Marked:
        return _object(value, path)
    if kind is dict:
        return {key: restore(item, f"{path}[{key!r}]" if path else str(key)) for key, item in value.items()}
    if kind in _CONTAINERS:
        return kind(restore(item, f"{path}[{place}]") for place, item in enumerate(value))
    return value


def missing(value: Any, path: str = "") -> Iterator[Missing]:
    """Each part of a value that cannot be had back."""
    try:
        restore(value, path)
    except Missing as error:
        yield error


def has_masked_text(value: Any) -> bool:
    """Whether a secret was masked inside a text somewhere in `value`."""
    if isinstance(value, str):
        return "[redacted: " in value
    if isinstance(value, Mapping):
        return any(has_masked_text(item) for item in value.values())
    if hasattr(type(value), "model_fields") and hasattr(value, "content"):  # a message
        return has_masked_text(value.content) or has_masked_text(getattr(value, "tool_calls", None))
    return isinstance(value, _CONTAINERS) and any(map(has_masked_text, value))


def _object(mark: Marked, path: str) -> Any:
    kind = mark.get(MARK)
    if kind == "redacted":
        raise Missing(path, f"was redacted when it was recorded ({mark.get('why', 'by a rule')})")
    if kind == "withheld":
        raise Missing(path, "is withheld: it was redacted, or left out of this export")
    if kind == "damaged":
        raise Missing(path, f"is damaged ({mark.get('why', '')})")
    if kind == "cut":
        raise Missing(path, f"was recorded only in part (cut: {mark.get('why', '')})")
    name = str(mark.get("type", "object"))
    if kind != "object" or "data" not in mark:
        raise Missing(path, f"is a {name} of which the trace has only a description")
    return make(name, mark["data"], path)


def make(name: str, data: Any, path: str = "") -> Any:
    """An object of the class `name` from its recorded data. Raises Missing."""
    if name == "deque":
        return deque(restore(data, path))
    if name == "ndarray" and isinstance(data, list) and "numpy" in sys.modules:
        return sys.modules["numpy"].asarray(data)
    fields = frozenset(data) if isinstance(data, dict) else frozenset()
    candidates = _classes(name, fields)
    if not candidates:
        raise Missing(path, f"is a {name}, and no loaded module has a class of that name; import it first")
    if len(candidates) > 1:
        where = ", ".join(sorted(candidate.__module__ for candidate in candidates))
        raise Missing(path, f"is a {name}, and several loaded modules have such a class ({where})")
    cls, build = candidates[0], _builder(candidates[0])
    if build is None:
        raise Missing(path, f"is a {name}, which cannot be made from data")
    plain = restore(data, path)
    try:
        return build(cls, plain)
    except Exception as error:
        raise Missing(
            path, f"is a {name} that cannot be made from its data ({type(error).__name__}: {error})"
        ) from error


@lru_cache(maxsize=1_000)
def _known(name: str) -> type | None:
    for module in _FIRST:
        found = getattr(sys.modules.get(module), name, None)
        if isinstance(found, type):
            return found
    return None


def _classes(name: str, fields: frozenset[Any]) -> list[type]:
    """The loaded classes of that qualified name whose data has these fields."""
    known = _known(name)
    if known is not None:
        return [known]
    found: dict[int, type] = {}
    head, *rest = name.split(".")
    for module in list(sys.modules.values()):
        one: Any = getattr(module, "__dict__", {}).get(head)
        for part in rest:
            one = getattr(one, part, None)
        if isinstance(one, type) and one.__qualname__ == name and _fits(one, fields):
            found[id(one)] = one
    own = [one for one in found.values() if one.__module__ == "__main__"]
    return own or list(found.values())


def _fits(cls: type, fields: frozenset[Any]) -> bool:
    for names in ("model_fields", "__dataclass_fields__"):
        declared = getattr(cls, names, None)
        if isinstance(declared, Mapping):
            computed = getattr(cls, "model_computed_fields", {})
            extra = (getattr(cls, "model_config", None) or {}).get("extra") == "allow"
            return extra or fields <= {*declared, *computed}
    return True


def _builder(cls: type) -> Callable[[Any, Any], Any] | None:
    if issubclass(cls, Enum):
        return lambda kind, data: kind[data["name"]]
    if hasattr(cls, "model_validate"):
        return lambda kind, data: kind.model_validate(data)
    if hasattr(cls, "__dataclass_fields__"):
        return _dataclass
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return lambda kind, data: kind(**data)
    if hasattr(cls, "__attrs_attrs__"):
        return lambda kind, data: kind(**data)
    if issubclass(cls, Mapping):
        return lambda kind, data: kind(data)
    return None


def _dataclass(cls: Any, data: Mapping[str, Any]) -> Any:
    fields = cls.__dataclass_fields__
    made = cls(**{name: item for name, item in data.items() if name in fields and fields[name].init})
    for name, item in data.items():
        if name in fields and not fields[name].init:
            object.__setattr__(made, name, item)
    return made
