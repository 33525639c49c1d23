"""What SQL engines say of a funnel, as the frame of paths that the kernel for polars makes."""

from __future__ import annotations

import polars as pl

from ._funnel_spec import Spec, options_after, stops_after, width_of

_FIELDS = ("p", "t", "d", "turn")


def decoded(found: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    """The answer to `_funnel_sql.Asked.paths` as `_funnel_polars.paths` has it."""
    if spec.mode in ("visited", "any"):
        frame = _each(found, spec)
    else:
        ordered = found.sort("e", "pos")
        frame = _tagged(ordered, spec) if spec.mode == "strict" else _in_order(ordered, spec)
        frame = _timely(frame, spec)
        frame = _chosen(frame, spec)
    reached = [pl.col(f"p{k}").is_not_null().alias(f"x{k}") for k in range(len(spec.items))]
    told = [name for name in frame.columns if name[0] in "tds" and name.lstrip("turnds").isdigit()]
    whole = frame.select("engagement_id", "attempt", "is_last", *reached, *told)
    return whole.filter(pl.any_horizontal(pl.col(f"x{k}") for k in range(len(spec.items))))


def _fields(column: str, offset: int, k: int) -> list[pl.Expr]:
    """The execution that an array tells of from `offset` on, as columns of step k."""
    return [
        pl.col(column).list.get(offset + place, null_on_oob=True).alias(f"{field}{k}")
        for place, field in enumerate(_FIELDS)
    ]


_ONCE = (pl.lit(1, pl.Int64).alias("attempt"), pl.lit(True).alias("is_last"))


def _each(found: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    columns = [column for k in range(len(spec.items)) for column in _fields(f"path{k}", 0, k)]
    if spec.mode == "any":
        columns += [
            pl.col(f"path{k}").list.get(len(_FIELDS), null_on_oob=True).alias(f"s{k}") for k in range(len(spec.items))
        ]
    return found.select(pl.col("e").alias("engagement_id"), *_ONCE, *columns)


def _in_order(found: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    """Mandatory steps, and the optional ones that lie between them."""
    columns: list[pl.Expr] = []
    stops: list[pl.Expr] = []
    offset = 0
    for i, k in enumerate(spec.mandatory):
        path, begin = ("path", offset) if spec.is_plain else (f"path{i}", 0)
        columns += _fields(path, begin, k)
        for n, option in enumerate(options_after(spec, i), start=1):
            columns += _fields(path, begin + n * len(_FIELDS), option)
        if options_after(spec, i) and stops_after(spec, i):
            last = begin + width_of(spec, i) - 1
            stops.append(pl.col(path).list.get(last, null_on_oob=True).alias(f"stop{i}"))
        offset += width_of(spec, i)
    frame = found.select(pl.col("e").alias("engagement_id"), "pos", pl.col("a").cast(pl.Int64), *columns, *stops)
    for i in range(len(spec.mandatory)):
        after = spec.mandatory[i + 1] if i + 1 < len(spec.mandatory) else None
        for option in options_after(spec, i):
            open_ = pl.lit(True)
            if after is not None:
                open_ = (pl.col(f"p{option}") < pl.col(f"p{after}")).fill_null(True)
            if f"stop{i}" in frame.columns:
                open_ = open_ & (pl.col(f"stop{i}") >= pl.col(f"p{option}")).fill_null(True)
            frame = _cleared(frame, option, open_)
    return frame


def _tagged(found: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    """Executions that carry the place of their step."""
    width = len(_FIELDS) + 1
    n = len(spec.items)
    columns = []
    for k in range(n):
        for place, field in enumerate(_FIELDS, start=1):
            parts = [
                pl.when(pl.col("path").list.get(i * width, null_on_oob=True) == k).then(
                    pl.col("path").list.get(i * width + place, null_on_oob=True)
                )
                for i in range(k + 1)
            ]
            columns.append(pl.coalesce(parts).alias(f"{field}{k}"))
    return found.select(pl.col("e").alias("engagement_id"), "pos", pl.col("a").cast(pl.Int64), *columns)


def _cleared(frame: pl.DataFrame, k: int, keep: pl.Expr) -> pl.DataFrame:
    """`frame` without the execution that reached step k, where `keep` does not hold."""
    return frame.with_columns(pl.when(keep).then(f"{field}{k}").alias(f"{field}{k}") for field in _FIELDS)


def _timely(frame: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    """Without what came too late; in mode `strict` nothing counts behind it either."""
    before = 0
    open_ = pl.lit(True)
    for k, item in list(enumerate(spec.items))[1:]:
        keep = open_
        if spec.within_us is not None:
            keep = keep & (pl.col(f"t{k}") - pl.col("t0") <= spec.within_us).fill_null(True)
        if item.within_us is not None and (item.optional or spec.mode == "strict"):
            keep = keep & (pl.col(f"t{k}") - pl.col(f"t{before}") <= item.within_us).fill_null(True)
        had = pl.col(f"p{k}").is_not_null()
        frame = frame.with_columns((had & ~keep).alias("_late"))
        frame = _cleared(frame, k, keep)
        if spec.mode == "strict":
            gone = f"_gone{k}"
            frame = frame.rename({"_late": gone})
            open_ = open_ & ~pl.col(gone)
        if not item.optional:
            before = k
    return frame


def _chosen(frame: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    """The attempts that count, numbered."""
    if spec.attempts == "every":
        return frame.with_columns(
            pl.col("a").alias("attempt"), (pl.col("a") == pl.col("a").max().over("engagement_id")).alias("is_last")
        )
    if spec.attempts == "first":
        return frame.unique("engagement_id", keep="first", maintain_order=True).with_columns(_ONCE)
    level = pl.sum_horizontal(pl.col(f"p{k}").is_not_null() for k in spec.mandatory)
    best = frame.with_columns((-level.cast(pl.Int64)).alias("_level")).sort("engagement_id", "_level", "pos")
    return best.unique("engagement_id", keep="first", maintain_order=True).with_columns(_ONCE)
