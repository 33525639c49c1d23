"""What all results share: a frame, a figure, and how they show themselves in a notebook, in text and in saved files."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from ..core.errors import InvalidArgumentError

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from ..figures.theme import Theme
    from ..widget.figure import FigureView

_MAX_ROWS = 25
_TEXT_ROWS = 10
_MAX_TEXT = 120


class Result:
    """An answer over many engagements. As the last expression of a notebook cell it shows itself."""

    _shown: ClassVar[tuple[str, ...]] = ()
    """Columns of the frame that the table shows; all when empty."""

    def frame(self) -> pl.DataFrame:
        """The answer as rows."""
        raise NotImplementedError

    def figure(self, *, theme: Theme = "light") -> go.Figure:
        """The Plotly figure of it."""
        raise NotImplementedError

    def widget(self, **options: Any) -> FigureView:
        """What `figure_widget` gives."""
        return self.figure_widget(**options)

    def figure_widget(self, *, theme: Theme = "light", **options: Any) -> FigureView:
        """The figure as a widget: a click selects the engagements behind a mark, as `.selected` (a frame) and
        `.selection` (their ids). `options` are those of `figure`.

        Viewers without a kernel show the table. Raises InvalidArgumentError where a mark stands for no engagements.
        """
        return figure_view(self, self.figure(theme=theme, **options), options.get("group"))

    def _picked(self, key: Any, group: Any) -> pl.DataFrame:
        """The engagements behind a mark of the figure (of this group), by the key that the figure gave it."""
        raise NotImplementedError

    def _title(self) -> str:
        raise NotImplementedError

    def _table(self) -> pl.DataFrame:
        """What the text and the table show: the frame, less what only programs read."""
        frame = self.frame()
        shown = [name for name in self._shown if name in frame.columns]
        return frame.select(shown) if shown else frame

    def __repr__(self) -> str:
        table = self._table()
        heads = {heading(name): [cell(name, value) for value in table[name].head(_TEXT_ROWS)] for name in table.columns}
        texts = pl.DataFrame(heads, schema=dict.fromkeys(heads, pl.String))
        with pl.Config(
            tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True, tbl_cols=-1, tbl_rows=-1,
            tbl_width_chars=140, fmt_str_lengths=60, tbl_formatting="NOTHING",
        ):  # fmt: skip
            body = str(texts) if table.height else "(no rows)"
        left = table.height - _TEXT_ROWS
        return f"{self._title()}\n{body}" + (f"\n… and {left:,} more rows; .frame() has all" if left > 0 else "")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        import orjson

        return {
            "text/plain": repr(self),
            "text/html": html_table(self._title(), self._table()),
            "application/vnd.plotly.v1+json": orjson.loads(self.figure().to_json()),
        }


def figure_view(result: Any, figure: go.Figure, group: Any = None) -> FigureView:
    """The widget of a figure of `result`, which says by `_picked` what is behind its marks."""
    if all(getattr(trace, "meta", None) is None for trace in figure.data) and figure.data:
        raise InvalidArgumentError(
            f"the marks of this figure of {type(result).__name__} stand for no engagements that could be selected; "
            "show it with .figure()"
        )
    from ..widget.figure import FigureView

    bundle = result._repr_mimebundle_()
    pick = partial(result._picked, group=group)
    return FigureView(figure, pick, bundle["text/html"], bundle["text/plain"])


def html_table(title: str, frame: pl.DataFrame) -> str:
    """A frame's first rows as a table: no script, nothing loaded. What saved notebooks show."""
    numeric = {name: dtype.is_numeric() for name, dtype in frame.schema.items()}
    head = "".join(f'<th style="text-align:{_side(numeric[name])}">{escape(heading(name))}</th>' for name in numeric)
    rows = "".join(
        "<tr>" + "".join(
            f'<td style="text-align:{_side(numeric[name])}">{escape(cell(name, value))}</td>'
            for name, value in row.items()
        ) + "</tr>"
        for row in frame.head(_MAX_ROWS).iter_rows(named=True)
    )  # fmt: skip
    left = frame.height - _MAX_ROWS
    more = f"<p>… and {left:,} more rows; <code>.frame()</code> has all.</p>" if left > 0 else ""
    return f"<p><b>{escape(title)}</b></p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def heading(name: str) -> str:
    """A column's name as words; the unit stands in the cells."""
    words = name.removesuffix("_ms").removesuffix(" share").replace("_", " ")
    return words if words in ("n before", "n after") else words.removeprefix("n ")


def cell(name: str, value: Any) -> str:
    """A value as text, by the unit in its column's name."""
    if value is None:
        return "–"
    if isinstance(value, list | pl.Series):
        text = " → ".join(map(str, value))
    elif isinstance(value, float):
        text = _number(name, value)
    elif isinstance(value, int) and not isinstance(value, bool):
        text = f"{value:,}"
    else:
        text = str(value)
    text = text.replace("\n", "⏎")
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


def _number(name: str, value: float) -> str:
    if name.endswith("_ms"):
        return duration_text(value)
    if "cost" in name:
        return f"{value:,.2f}" if abs(value) >= 100 else f"{value:,.4g}"
    if (
        name.startswith("rate_")
        or name.endswith(("_rate", "share", "probability", "_difference", "_low", "_high"))
        or "share" in name
    ):
        return f"{value:.1%}"
    return f"{value:,.1f}"


def duration_text(milliseconds: float | None) -> str:
    """Milliseconds in the unit that reads best."""
    if milliseconds is None:
        return "–"
    sign, ms = ("-", -milliseconds) if milliseconds < 0 else ("", milliseconds)
    for limit, unit, size in ((1e3, "ms", 1.0), (6e4, "s", 1e3), (3.6e6, "min", 6e4), (8.64e7, "h", 3.6e6)):
        if ms < limit:
            return f"{sign}{ms / size:.3g} {unit}" if ms / size < 100 else f"{sign}{ms / size:.0f} {unit}"
    return f"{sign}{ms / 8.64e7:.3g} d"


def check_count(name: str, value: Any) -> None:
    """Raises InvalidArgumentError unless `value` is a whole number above 0."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidArgumentError(f"{name} is a whole number, 1 or more; got {value!r}")


def counted(n: int, noun: str) -> str:
    """`1 engagement`, `2 engagements`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _side(numeric: bool) -> str:
    return "right" if numeric else "left"
