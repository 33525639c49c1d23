"""Edits of a state or an input, checked against the graph's own schema before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NotRequired, Required, get_args, get_origin, get_type_hints

from ..core.errors import InvalidArgumentError

Edit = Mapping[str, Any] | Callable[[Any], Any]


def changes(edit: Edit | None, current: Any, what: str) -> dict[str, Any]:
    """The keys that `edit` changes: it is a mapping, or a function of the state that returns one.

    Raises InvalidArgumentError.
    """
    given = edit(current) if callable(edit) else edit
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        made = "a function that returned " if callable(edit) else ""
        raise InvalidArgumentError(f"{what} takes a mapping of keys to new values, got {made}{given!r:.100}")
    return dict(given)


def checked(given: Mapping[str, Any], graph: Any, node: Any, extra: Iterable[str], what: str) -> dict[str, Any]:
    """`given` as the state's schema has it. `node` None: any channel of the state may be named.

    Raises InvalidArgumentError for a key that is none of the state's, or a value that its type does not take.
    """
    hints = _hints(graph, node)
    known = {*hints, *extra, *(name for name in graph.channels if _is_state(name))}
    made: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            near = get_close_matches(str(key), sorted(known), n=1)
            hint = f". Did you mean {near[0]!r}?" if near else ""
            raise InvalidArgumentError(
                f"{what} names {key!r}, which is no key of the state; keys: {_list(known)}{hint}"
            )
        made[key] = _valid(value, hints[key], key, what) if key in hints else value
    return made


def _is_state(name: str) -> bool:
    return not name.startswith(("__", "branch:", "join:"))


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(map(str, names))) or "none"


def _hints(graph: Any, node: Any) -> dict[str, Any]:
    """Types by key: those of the graph's schemas, and of the node's own input where it has another."""
    builder = getattr(graph, "builder", None)
    schemas = list(getattr(builder, "schemas", None) or {})
    spec = getattr(builder, "nodes", {}).get(node) if node is not None else None
    if spec is not None and getattr(spec, "input_schema", None) is not None:
        schemas.append(spec.input_schema)
    found: dict[str, Any] = {}
    for schema in schemas:
        try:
            found.update(get_type_hints(schema, include_extras=True))
        except Exception:  # annotations that cannot be evaluated here: then its values are taken as they come
            continue
    return found


def _valid(value: Any, hint: Any, key: str, what: str) -> Any:
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
    from pydantic.errors import PydanticSchemaGenerationError

    while get_origin(hint) in (Required, NotRequired):
        hint = get_args(hint)[0]
    try:
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError:  # a model brings a configuration of its own
            adapter = TypeAdapter(hint)
        return adapter.validate_python(value)
    except ValidationError as error:
        why = "; ".join(f"{'.'.join(map(str, one['loc'])) or key}: {one['msg']}" for one in error.errors()[:3])
        raise InvalidArgumentError(
            f"{what} gives {key!r} the value {value!r:.100}, which does not fit the state's {_named(hint)}: {why}"
        ) from None
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError, NameError):
        return value  # a type that cannot be checked


def _named(hint: Any) -> str:
    inner = getattr(hint, "__origin__", hint) if hasattr(hint, "__metadata__") else hint
    return getattr(inner, "__name__", None) or str(inner).replace("typing.", "")
