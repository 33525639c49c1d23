"""What analytics functions take: a store, opened traces, or the frames themselves."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import narwhals as nw
import orjson
import polars as pl

from ..core.canonical import from_json
from ..core.errors import InvalidArgumentError
from ..frames import Frames
from ..frames._engagements import branch_of
from ..frames.schema import BRANCH_KEY
from ..store._url import open_store
from ..store.base import LogStore, Store, matches
from ._engines import Views

_STEPS = ("engagement_id", "name", "ns", "attempt", "duration_ms", "total_tokens")
_ENGAGEMENTS = ("engagement_id", "status", "dropped_at")
JOURNEY_COLUMNS = ("engagement_id", "step_id", "name", "ns", "visit", "attempt", "turn", "status", "parent_step_id",
                   "triggers", "started_at", "ended_at", "duration_ms", "total_tokens")  # fmt: skip
"""What of steps journeys are told from; the other columns of a file are not read."""
_LONE_CALL = "standalone"
"""Metadata key of an engagement that is one model call outside any workflow, as `registry` records them."""


class WithBranches(dict[str, Any]):
    """A `where` that also takes the replays and forks that debugging made."""


@runtime_checkable
class Opened(Protocol):
    """Opened traces (`ftnb.open`): a store, and frames that are kept between calls."""

    @property
    def store(self) -> LogStore: ...
    def steps(self) -> Any: ...
    def engagements(self) -> Any: ...


Source = Store | Opened | str | os.PathLike[str] | tuple[Any, ...]
"""A store, opened traces, where these are (a path or a URL), or (steps, engagements): frames of polars, pandas, or
anything else that narwhals reads."""


@dataclass(frozen=True)
class Tables:
    """Steps and engagements as polars."""

    steps: pl.DataFrame
    """All steps of the source, in the order in which they ran within each engagement."""
    engagements: pl.DataFrame
    """Those that were asked for."""


def store_of(source: Store | Opened) -> Store:
    """The store behind `source`. Raises InvalidArgumentError when there is none."""
    store = source.store if isinstance(source, Opened) else source
    if isinstance(store, type) or not hasattr(store, "list_engagements"):
        raise InvalidArgumentError(
            f"expected a store, or traces opened with ftnb.open(…); got {type(source).__name__}: {str(source)[:60]!r}"
        )
    return store


def opened(source: Any) -> Any:
    """What is at `source`, when it is a path or a URL: a store, or frames of a folder that has no log; else `source`.

    Raises what opening a store does.
    """
    if not isinstance(source, str | os.PathLike):
        return source
    views = views_at(source)
    if views is not None:
        steps, *others = [views.scan(name) for name in ("steps", "engagements", "events")]
        return steps if others[0] is None else tuple(scan for scan in (steps, *others) if scan is not None)
    return open_store(Path(source) if isinstance(source, os.PathLike) else source)


def views_at(source: Any) -> Views | None:
    """The tables of a folder that has no log, when `source` is the path of one."""
    if not isinstance(source, os.PathLike) and (not isinstance(source, str) or "://" in source):
        return None
    folder = Path(source).expanduser()
    return None if (folder / "records.parquet").is_file() else Views.at(folder, "polars")


def checked_where(where: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """`where` as given. Raises InvalidArgumentError when it is no mapping."""
    if where is not None and not isinstance(where, Mapping):
        raise InvalidArgumentError(f"where is a dict of metadata, as where={{'user_id': 'u-1'}}; got {where!r}")
    return where


def asked(where: Mapping[str, Any] | None, branches: bool) -> Mapping[str, Any] | None:
    """`where`, which also takes replays and forks when `branches`. Raises InvalidArgumentError."""
    where = checked_where(where)
    return WithBranches(where or {}) if branches else where


def tables_of(source: Source, where: Mapping[str, Any] | None) -> Tables:
    """The frames of `source`: its steps, and the engagements whose metadata equals `where`."""
    where = checked_where(where)
    source = cast("Store | Opened | tuple[Any, ...]", opened(source))
    if isinstance(source, tuple):
        steps, engagements = _given(source[:2] if len(source) == 3 else source)
        engagements = _runs_of_users(engagements, where)
        if where:
            engagements = engagements.filter(_metadata_matches(engagements, where))
        return Tables(steps, engagements)
    store = source.store if isinstance(source, Opened) else source
    if isinstance(source, Opened):
        steps, engagements = _polars(source.steps()), _polars(source.engagements())
    elif isinstance(store, LogStore):
        frames = Frames(store)
        steps, engagements = frames.steps, frames.engagements()
    else:
        raise InvalidArgumentError(
            f"expected a store of ftnb, opened traces, or (steps, engagements) frames; got {type(source).__name__}"
        )
    engagements = _runs_of_users(engagements, where)
    if where:
        chosen = [summary.id for summary in store.list_engagements(where)]
        engagements = engagements.filter(pl.col("engagement_id").is_in(chosen))
    return Tables(steps, engagements)


def _runs_of_users(engagements: pl.DataFrame, where: Mapping[str, Any] | None) -> pl.DataFrame:
    """What questions are about: no model calls outside any workflow, no replays and forks, unless `where` says so."""
    return _without_branches(_without_lone_calls(engagements, where), where)


def _without_branches(engagements: pl.DataFrame, where: Mapping[str, Any] | None) -> pl.DataFrame:
    """Without what debugging made: it was no user who came, and a step that was tried ten times happened once."""
    if isinstance(where, WithBranches) or BRANCH_KEY in (where or {}):
        return engagements
    if engagements.schema.get("branch") == pl.String:
        is_own = engagements["branch"].is_null()
    elif engagements.schema.get("metadata") == pl.String:
        # Files of earlier versions, and frames of other makers, have metadata only.
        is_own = engagements.select(branch_of(pl.col("metadata")).is_null()).to_series()
    else:
        return engagements
    # Where there is nothing else, as in traces narrowed to forks, they are what is asked about.
    return engagements.filter(is_own) if is_own.any() else engagements


def _without_lone_calls(engagements: pl.DataFrame, where: Mapping[str, Any] | None) -> pl.DataFrame:
    """Without the engagements that are one model call outside any workflow, unless `where` asks about these."""
    if _LONE_CALL in (where or {}) or "metadata" not in engagements.columns:
        return engagements
    # The words may stand elsewhere in the metadata, so the few that have them are read.
    maybe = engagements["metadata"].str.contains(_LONE_CALL, literal=True).fill_null(False)
    if not maybe.any():
        return engagements
    said = engagements.filter(maybe)
    lone = said.filter(_metadata_matches(said, {_LONE_CALL: True}))
    return engagements.join(lone.select("engagement_id"), on="engagement_id", how="anti", maintain_order="left")


def _given(source: tuple[Any, ...]) -> tuple[pl.DataFrame, pl.DataFrame]:
    if len(source) != 2:
        raise InvalidArgumentError(f"expected two frames, (steps, engagements); got {len(source)}")
    steps = source[0]
    if isinstance(steps, pl.LazyFrame):
        steps = steps.select(name for name in steps.collect_schema().names() if name in JOURNEY_COLUMNS)
    steps, engagements = _polars(steps), _polars(source[1])
    for frame, needed, what in ((steps, _STEPS, "steps"), (engagements, _ENGAGEMENTS, "engagements")):
        missing = [name for name in needed if name not in frame.columns]
        if missing:
            raise InvalidArgumentError(
                f"the {what} frame has no column {missing[0]!r}; needed: {', '.join(needed)} (first steps, "
                "then engagements, as ftnb.open(…).steps() and .engagements() give them)"
            )
    return steps, engagements


def _polars(frame: Any) -> pl.DataFrame:
    if isinstance(frame, pl.DataFrame):
        return frame
    try:
        narwhal = nw.from_native(frame)
    except TypeError as error:
        raise InvalidArgumentError(f"expected a dataframe, got {type(frame).__name__}") from error
    eager = narwhal.collect("polars") if isinstance(narwhal, nw.LazyFrame) else narwhal
    return cast(pl.DataFrame, eager.to_polars())


def _metadata_matches(engagements: pl.DataFrame, where: Mapping[str, Any]) -> pl.Series:
    if "metadata" not in engagements.columns:
        raise InvalidArgumentError("`where` needs the engagements frame's column 'metadata', which is not there")
    return pl.Series(
        [matches(from_json(orjson.loads(text)), where) for text in engagements["metadata"]], dtype=pl.Boolean
    )


def _declared(store: Store, engagement_ids: Sequence[str] | pl.Series) -> Iterable[str]:
    """Names of declared nodes, newest engagement first; lazily, as most graphs declare the same."""
    for engagement_id in reversed(list(engagement_ids)):
        for node in store.get_engagement(engagement_id).topology.nodes:
            yield node.name
