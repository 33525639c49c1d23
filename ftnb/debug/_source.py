"""The source of a step's function as it was when it ran, and whether today's code is the same."""

from __future__ import annotations

import ast
import difflib
import inspect
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from ..core.errors import NotRecordedError
from ..langgraph_adapter._code import describe, live_graphs, read_code, sha256_of
from ._look import Look
from ._ran import Ran
from ._view import FAINT, STYLE


@dataclass(frozen=True)
class Source:
    """The code of a node, a router or a tool, as it was when the step ran."""

    node: str
    """The node's name, with the nodes around it."""
    qualname: str
    text: str
    """The function's source."""
    file: str | None
    """Relative to the working directory of the run where it lay below it; None for a notebook cell."""
    line: int | None
    cell: int | None
    """Execution count of the notebook cell; None for a file."""
    sha256: str
    """Over the source as it was, also where a secret in `text` was masked before it was written."""
    version: str
    """Hash over the code of the whole graph."""
    module: str = ""
    routers: tuple[Source, ...] = ()
    """The routers after the node."""
    today: str | None = field(default=None, compare=False)
    """The source of the same function now; None where it cannot be found here."""

    @property
    def changed(self) -> bool | None:
        """Whether today's source differs; None where there is none to compare with."""
        if self.today is None:
            return None
        return sha256_of(self.today) != self.sha256 and _bare(self.today) != _bare(self.text)

    @property
    def place(self) -> str:
        """Where it stood."""
        if self.cell is not None:
            return f"cell [{self.cell}], line {self.line}"
        return f"{self.file}:{self.line}" if self.file else "an unknown place"

    def diff(self) -> str:
        """From the source then to the source now, as a unified diff; empty when they are equal.

        Raises NotRecordedError when today's source cannot be found.
        """
        if self.today is None:
            raise NotRecordedError(
                f"{self.qualname!r} is neither in this process nor in {self.file or 'a file'}: run the cell or import "
                "the module that defines it, then ask again"
            )
        then, now = _lines(self.text), _lines(self.today)
        return "\n".join(difflib.unified_diff(then, now, "when it ran", "today", lineterm=""))

    def _verdict(self) -> str:
        said = {True: "today's code differs", False: "today's code is the same", None: "not here today"}
        return said[self.changed]

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"# {self.node}: {self.qualname}, {self.place}, {self.sha256[:12]} ({self._verdict()})\n{self.text}"

    def _repr_html_(self) -> str:
        head = f"{self.node}: {self.qualname}, {self.place}, {self.sha256[:12]}"
        color = ' style="color:#b45309"' if self.changed else ""
        more = f"<details><summary>what changed</summary><pre>{escape(self.diff())}</pre></details>" if (
            self.changed) else ""  # fmt: skip
        return (
            f'<div style="{STYLE}"><b>{escape(head)}</b> <span{color}>{escape(self._verdict())}</span>'
            f'<pre style="margin:4px 0">{escape(textwrap.dedent(self.text))}</pre>{more}'
            f'<span style="{FAINT}">version {escape(self.version[:12])}</span></div>'
        )


def source(look: Look, step: Ran) -> Source:
    """The source of the function of a step's node. Raises NotRecordedError when it is not on record."""
    where = f"step {step.label()!r} of engagement {look.story.id}"
    said, code = look.story.code_of(step), look.code_of(step)
    if said is None:
        raise NotRecordedError(
            f"no code is on record for {where}: it is kept of LangGraph graphs that run under %load_ext ftnb or "
            "ftnb.start(...)"
        )
    if code is None:
        raise NotRecordedError(
            f"the code of {where} is version {said.version[:12]}, whose text is not in {look.store!r}: the engagements "
            "that held it were purged, or left out of this export"
        )
    entry = _entry_of(code["nodes"], step)
    if entry is None or entry["source"] is None:
        what = "that node is not in it" if entry is None else f"{entry['qualname']} is no Python function with a text"
        raise NotRecordedError(f"the code that ran for {where} is on record, but {what}")
    routers = tuple(
        _source(one, f"{step.full} → {one['router']}", said.version, ())
        for one in code.get("routers", ())
        if one["node"] == step.full and one["source"] is not None
    )
    return _source(entry, step.full, said.version, routers)


def _entry_of(nodes: list[dict[str, Any]], step: Ran) -> dict[str, Any] | None:
    return next((entry for entry in nodes if entry["node"] == step.full), None)


def _source(entry: dict[str, Any], node: str, version: str, routers: tuple[Source, ...]) -> Source:
    fields = {name: entry[name] for name in ("qualname", "file", "line", "cell", "sha256", "module")}
    return Source(
        node=node, text=entry["source"], version=version, routers=routers, today=_today(entry, node), **fields
    )


# --- today ---


def _today(entry: dict[str, Any], node: str) -> str | None:
    """The source of the same function now: by its name in this process, in a graph that ran here, or in its file."""
    for find in (_by_name, lambda one: _in_graphs(one, node), _in_file):
        found = find(entry)
        if found is not None:
            return found
    return None


def _by_name(entry: dict[str, Any]) -> str | None:
    qualname = str(entry["qualname"])
    value: Any = sys.modules.get(entry["module"])
    if value is None or "<" in qualname:
        return None
    for part in qualname.split("."):
        value = getattr(value, part, None)
    if value is None:
        return None
    if entry["file"] is not None and (on_disk := _in_file(entry)) is not None:
        return on_disk  # what inspect reads of an edited file is not what stands there
    if inspect.isclass(value):
        value = value.__call__
    value = getattr(value, "func", value)
    text = describe(value)["source"]
    return None if text is None else str(text)


def _in_graphs(entry: dict[str, Any], node: str) -> str | None:
    name = node.partition(" → ")[0]
    for compiled in live_graphs():
        nodes = read_code(compiled)["nodes"]
        for one in nodes:
            if one["node"] == name and one["qualname"] == entry["qualname"]:
                return str(one["source"]) if one["source"] is not None else None
    return None


def _in_file(entry: dict[str, Any]) -> str | None:
    if entry["file"] is None:
        return None
    try:
        text = Path(entry["file"]).read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError):
        return None
    names = [part for part in str(entry["qualname"]).split(".") if part != "<locals>"]
    found = _defined(tree, names)
    if isinstance(found, ast.ClassDef):
        found = _defined(found, ["__call__"])
    if found is None or found.end_lineno is None:
        return None
    first = min([found.lineno, *(one.lineno for one in getattr(found, "decorator_list", ()))])
    return "".join(text.splitlines(keepends=True)[first - 1 : found.end_lineno])


def _defined(tree: ast.AST, names: list[str]) -> Any:
    for name in names:
        found = [node for node in _definitions(tree) if node.name == name]
        if not found:
            return None
        tree = found[-1]
    return tree if names else None


def _definitions(tree: ast.AST) -> Iterator[Any]:
    """Functions and classes right inside `tree`, also under conditions and the like."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node
        elif isinstance(node, ast.stmt):
            yield from _definitions(node)


def _lines(text: str) -> list[str]:
    return textwrap.dedent(text).rstrip().splitlines()


def _bare(text: str) -> list[str]:
    """The text without what does not count: indentation as a whole, trailing space and empty lines."""
    return [line.rstrip() for line in _lines(text) if line.strip()]
