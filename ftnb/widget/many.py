"""Interactive views of several engagements: two runs side by side, a process map. Importing this imports anywidget."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any, cast

import traitlets

from ._page import RuntimeView, loader
from .columns import pack
from .html import many_page
from .protocol import ComparisonPayload, ProcessMapPayload
from .svg import duration_text
from .view import runtime

_MAX_ROWS = 40


class ManyView(RuntimeView):
    """The view of a payload that `compare.comparison_payload` or `process_map.process_map_payload` made."""

    _esm = loader()
    _payload = traitlets.Dict().tag(sync=True)

    def __init__(
        self, payload: ComparisonPayload | ProcessMapPayload, *, static: str | None = None, **kwargs: Any
    ) -> None:
        """`static` is the markup that viewers without script get, made by this package; without it, a table."""
        self._data, self._markup = payload, static
        super().__init__(runtime(), _payload=_packed(payload), **kwargs)

    @property
    def payload(self) -> ComparisonPayload | ProcessMapPayload:
        """What is shown."""
        return self._data

    def to_html(self, path: str | PathLike[str] | None = None) -> str | Path:
        """One self-contained interactive HTML document; written to `path` if given (and the path returned)."""
        document = many_page(cast(Any, _packed(self._data)), _title(self._data))
        if path is None:
            return document
        target = Path(path)
        target.write_text(document, encoding="utf-8")
        return target

    def picture(self) -> dict[str, str]:
        """A table, or what was given in its stead."""
        markup = _static(self._data) if self._markup is None else self._markup
        return {"text/html": markup, "text/plain": _title(self._data)}

    def __repr__(self) -> str:
        return f"<ManyView {_title(self._data)}>"


def _packed(payload: ComparisonPayload | ProcessMapPayload) -> dict[str, Any]:
    if payload["kind"] == "process_map":
        return dict(payload)
    return {**payload, "runs": [pack(run) for run in payload["runs"]]}


def _title(payload: ComparisonPayload | ProcessMapPayload) -> str:
    if payload["kind"] == "comparison":
        return " and ".join(payload["names"])
    groups = ", ".join(f"{group['n_engagements']:,} {group['name']}" for group in payload["groups"])
    return f"{payload['title'] or 'process map'}: {groups}"


def _static(payload: ComparisonPayload | ProcessMapPayload) -> str:
    """What a viewer without script shows: a table."""
    head, rows = _comparison_rows(payload) if payload["kind"] == "comparison" else _map_rows(payload)
    cells = "".join(
        "<tr>" + "".join(f"<td>{escape(cell[:120])}</td>" for cell in row) + "</tr>" for row in rows[:_MAX_ROWS]
    )
    more = f"<p>… and {len(rows) - _MAX_ROWS} more</p>" if len(rows) > _MAX_ROWS else ""
    table = f"<table><thead>{_row('th', head)}</thead><tbody>{cells}</tbody></table>"
    return f"<p><b>{escape(_title(payload))}</b></p>{table}{more}"


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell[:120])}</{tag}>" for cell in cells) + "</tr>"


def _comparison_rows(payload: ComparisonPayload) -> tuple[list[str], list[list[str]]]:
    a, b = payload["runs"]
    rows = []
    for pair in payload["alignment"]:
        if pair["kind"] == "same":
            continue
        one = None if pair["a"] is None else a["steps"][pair["a"]]
        two = None if pair["b"] is None else b["steps"][pair["b"]]
        name = (one or two or {"name": ""})["name"]
        sides = [f"{side['status']}, {duration_text(side['duration_ms'])}" if side else "–" for side in (one, two)]
        rows.append([name, *sides, pair["note"]])
    return ["step", *payload["names"], "what changed"], rows


def _map_rows(payload: ProcessMapPayload) -> tuple[list[str], list[list[str]]]:
    names = [node["name"] or node["kind"] for node in payload["nodes"]]
    ordered = sorted(payload["edges"], key=lambda edge: -max(numbers["n"] for numbers in edge["numbers"]))
    rows = [
        [names[edge["source"]], names[edge["target"]], *(f"{numbers['n']:,}" for numbers in edge["numbers"])]
        for edge in ordered
    ]
    return ["from", "to", *(group["name"] for group in payload["groups"])], rows
