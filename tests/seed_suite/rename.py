"""Renames a top-level package in Python source, by tokens: a variable, a key or a word of the same spelling stays."""

from __future__ import annotations

import io
import re
import tokenize

# In a string only a dotted path can mean the package: monkeypatch.setattr("old.store.x", …), python -m old.server.
STRING_TOKENS = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


def rename_package(source: str, old: str, new: str) -> str:
    """`source` with every import of package `old`, and every use through it, made one of `new`."""
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type != tokenize.COMMENT]
    in_string = re.compile(rf"(?<![\w.]){re.escape(old)}(?=\.[a-z_])")
    lines = source.splitlines(keepends=True)
    # Backwards, so that a change does not move the places still to come.
    for index in range(len(tokens) - 1, -1, -1):
        token = tokens[index]
        if token.type in STRING_TOKENS:
            _replace(lines, token, in_string.sub(new, token.string))
        elif token.type == tokenize.NAME and token.string == old and _is_package(tokens, index):
            _replace(lines, token, new)
    return "".join(lines)


def _is_package(tokens: list[tokenize.TokenInfo], index: int) -> bool:
    before = tokens[index - 1].string if index else ""
    after = tokens[index + 1].string
    return before in {"import", "from"} or (after == "." and before != ".")


def _replace(lines: list[str], token: tokenize.TokenInfo, text: str) -> None:
    if text == token.string:
        return
    (first, start), (last, end) = token.start, token.end
    whole = lines[first - 1][:start] + text + lines[last - 1][end:]
    lines[first - 1 : last] = whole.splitlines(keepends=True)
