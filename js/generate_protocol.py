"""Write src/protocol.gen.ts from ftnb/widget/protocol: `python js/generate_protocol.py`."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ftnb.widget import protocol
from ftnb.widget.protocol import lists, messages, run, several

TARGET = Path(__file__).resolve().parent / "src" / "protocol.gen.ts"
_PLAIN = {str: "string", int: "number", float: "number", bool: "boolean", Any: "unknown", type(None): "null"}


def render() -> str:
    """The TypeScript source."""
    parts = [
        "// Generated from ftnb/widget/protocol by js/generate_protocol.py; change those files, not this one.",
        f"export const PROTOCOL_VERSION = {protocol.PROTOCOL_VERSION};",
    ]
    declared = {name: value for part in (run, messages, several, lists) for name, value in vars(part).items()}
    for name, value in declared.items():
        if get_origin(value) is Literal:
            parts.append(f"export type {name} = {_type(value)};")
        elif is_typeddict(value):
            parts.append(_interface(name, value))
    return "\n\n".join(parts) + "\n"


def _interface(name: str, declared: Any) -> str:
    doc = " ".join((declared.__doc__ or "").split())
    fields = "\n".join(f"  {field}: {_type(hint)};" for field, hint in get_type_hints(declared).items())
    return f"/** {doc} */\nexport interface {name} {{\n{fields}\n}}"


def _type(hint: Any) -> str:
    if hint in _PLAIN:
        return _PLAIN[hint]
    if is_typeddict(hint):
        return str(hint.__name__)
    arguments = get_args(hint)
    if get_origin(hint) is Literal:
        return " | ".join(f'"{argument}"' for argument in arguments)
    if get_origin(hint) is list:
        return f"Array<{_type(arguments[0])}>"
    if get_origin(hint) in (types.UnionType, Union):
        return " | ".join(dict.fromkeys(_type(argument) for argument in arguments))
    raise TypeError(f"no TypeScript for {hint!r}")


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
