"""What nodes return and raise, taken apart."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticUserError


def unpack(output: Any) -> tuple[Any, list[Any]]:
    """What a node's output writes to the state, and where its `Command`s lead."""
    if _is_command(output):
        return _as_update(output.update), [output.goto] if output.goto else []
    if isinstance(output, (list, tuple)) and output and any(map(_is_command, output)):
        updates, targets = [], []
        for one in output:
            update, gotos = unpack(one)
            targets += gotos
            if update is not None:
                updates.append(update)
        return (updates[0] if len(updates) == 1 else updates or None), targets
    return output, []


def _is_command(value: Any) -> bool:
    return type(value).__name__ == "Command" and hasattr(value, "goto") and hasattr(value, "update")


def _as_update(update: Any) -> Any:
    if isinstance(update, (list, tuple)) and all(isinstance(one, tuple) and len(one) == 2 for one in update):
        return dict(update) or None
    return update


def schema_of(value: Any) -> dict[str, Any] | None:
    """The JSON schema of a pydantic object; None for anything else, messages among them."""
    if not isinstance(value, BaseModel) or hasattr(value, "additional_kwargs"):
        return None
    try:
        return type(value).model_json_schema()
    except PydanticUserError:
        return {}


def interrupts_of(error: BaseException) -> list[Any]:
    given = error.args[0] if error.args else ()
    return list(given) if isinstance(given, (list, tuple)) else [given]


def message_of(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:
        return type(error).__name__
