"""The views of an export, compared cell by cell with what its evidence folds to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import NotOurFileError
from ..frames import Frames
from ..store.leaf import INDEX, NAMES, hidden_groups, is_closed
from ._evidence import VIEWS, views_of
from ._report import Finding, Report

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_TYPE, _STEP, _STREAM, _N, _EVENT = (INDEX[name] for name in ("type", "step_id", "stream_id", "n", "event_id"))
_KEYS = {"engagements": "engagement_id", "steps": "step_id", "events": "event_id"}
_FROM_BODY = {
    "engagement_started": ("engagements", ("name", "metadata")),
    "engagement_labelled": ("engagements", ("name", "metadata")),
    "engagement_ended": ("engagements", ("error",)),
    "step_started": ("steps", ("name", "triggers", "tools_available")),
    "step_ended": ("steps", ("error",)),
    "event_recorded": ("events", ("name", "error")),
}
"""The view cells that are read from the bodies of a record type."""
_FROM_GROUP: dict[str, dict[str, tuple[str, ...]]] = {
    "names": {
        "engagements": ("name", "dropped_at"),
        "steps": ("name", "ns"),
        "events": ("name", "model"),
    },
    "usage": {
        "engagements": ("total_tokens",),
        "steps": ("total_tokens",),
        "events": ("prompt_tokens", "completion_tokens", "total_tokens", "n_bytes"),
    },
}
_MAX_FINDINGS = 20
Cell = tuple[str, str, str]
"""View, id of its row, column."""


def check_views(report: Report, store: Any) -> None:
    """Add a finding for every cell (the first of them) that is not what the evidence says; cells whose evidence is
    withheld are `unproven`."""
    import polars as pl

    open_cells = _without_evidence(store)
    report.unproven = sorted(f"{view}.{column} of {row}" for view, row, column in open_cells)
    expected = views_of(Frames(store))
    for view in VIEWS:
        path = store.path / f"{view}.parquet"
        if not path.is_file():
            report.notes.append(f"the view {path.name} is not there; what it would say is in the evidence")
            continue
        right = expected[view].sort_by([("engagement_id", "ascending")])
        table = _read(path, report, view, right)
        if table is not None:
            got, expected_frame = (pl.DataFrame(pl.from_arrow(one)) for one in (table, right))
            _compare(report, view, got, expected_frame, open_cells)


def _read(path: Any, report: Report, view: str, right: pa.Table) -> pa.Table | None:
    """The view as it is in the file; None, with a finding, where it has other columns or rows than `right`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        here: Any = path if isinstance(path, Path) else pa.BufferReader(path.read_bytes())
        table = pq.read_table(here, page_checksum_verification=True)
        names, types = table.schema.names, _types(table)
        table.validate(full=True)  # a reader of it may die of text that is none
    except (pa.ArrowException, OSError, ValueError) as error:
        raise NotOurFileError(f"{str(path)!r} is damaged ({error}); get the export again") from error
    if names != right.schema.names or table.num_rows != right.num_rows:
        expected = f"{right.num_rows} rows of {', '.join(right.schema.names)}"
        found = f"{table.num_rows} of {', '.join(names)}"
        report.findings.append(Finding("view_changed", f"the view {view}", expected[:200], found[:200]))
        return None
    wrong = [one for one in zip(names, _types(right), types, strict=True) if one[1] != one[2]]
    for column, one, other in wrong:
        report.findings.append(Finding("view_changed", f"column {column} of the view {view}", one, other))
    # What else the file says of its columns is made up by whoever made the file.
    return None if wrong else table.cast(right.schema.remove_metadata())


def _types(table: pa.Table) -> list[str]:
    return [str(one).replace("<element: ", "<item: ") for one in table.schema.types]  # Parquet's name of what Arrow has


def _compare(report: Report, view: str, got: pl.DataFrame, right: pl.DataFrame, free: set[Cell]) -> None:
    key = _KEYS[view]
    for column in right.columns:
        if right[column].equals(got[column], null_equal=True):
            continue
        for place, (one, other) in enumerate(zip(right[column].to_list(), got[column].to_list(), strict=True)):
            row = str(right[key][place])
            if one == other or repr(one) == repr(other) or (view, row, column) in free:
                continue
            where = f"{column} of {row} in the view {view}"
            whose = str(right["engagement_id"][place])
            report.findings.append(Finding("view_changed", where, repr(one)[:100], repr(other)[:100], whose))
            if len(report.findings) >= _MAX_FINDINGS:
                return


def _without_evidence(store: Any) -> set[Cell]:
    """View cells that are read from content which is not there."""
    found: set[Cell] = set()
    table = store.scan(list(NAMES))
    for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        rows = {"engagements": row[0], "steps": row[_STEP], "events": row[_EVENT] or f"{row[_STREAM]}:{row[_N]}"}
        view, columns = _FROM_BODY.get(row[_TYPE], ("", ()))
        if view and _has_closed(row):
            found |= {(view, str(rows[view]), column) for column in columns}
        for group in hidden_groups(row):
            for view, columns in _FROM_GROUP.get(group, {}).items():
                if view != "events" or row[_TYPE] == "event_recorded":
                    found |= {(view, str(rows[view]), column) for column in columns}
    return found


def _has_closed(row: tuple[Any, ...]) -> bool:
    body = row[INDEX["body"]]
    return is_closed(*row[-3:]) or (body is not None and b'{"$ftnb":"withheld","sha256":"' in body)
