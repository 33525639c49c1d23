"""What a notebook keeps of a figure for viewers that draw none: the table that it was drawn from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    import plotly.graph_objects as go

P = ParamSpec("P")
_PLOTLY = "application/vnd.plotly.v1+json"


def keeps_table(figure: Callable[P, go.Figure]) -> Callable[P, go.Figure]:
    """For the method `figure` of a result: what it draws shows itself with the result's table beside it.

    Jupyter draws the figure; nbconvert's pages and viewers without script, which would be blank, have the table. A
    renderer that the user has chosen (`plotly.io.renderers.default`) is left to itself.
    """

    @wraps(figure)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> go.Figure:
        made = figure(*args, **kwargs)
        made._ipython_display_ = partial(_show, made, args[0])
        return made

    return drawn


def _show(figure: Any, result: Any) -> None:
    import orjson
    import plotly.io as pio
    from IPython.display import display

    if not pio.renderers.render_on_display or pio.renderers.default != "plotly_mimetype":
        type(figure)._ipython_display_(figure)
        return
    title = str(figure.layout.title.text or type(result).__name__)
    html = result._repr_html_() if hasattr(result, "_repr_html_") else result._repr_mimebundle_()["text/html"]
    bundle = {"text/plain": title, "text/html": html, _PLOTLY: orjson.loads(str(figure.to_json()))}
    display(bundle, raw=True)  # type: ignore[no-untyped-call]
