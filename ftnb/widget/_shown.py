"""Views that a notebook shows, and the picture that it keeps of each: brought to the final state when the run, or the
cell that shows it, ends."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ._page import is_notebook_page

if TYPE_CHECKING:
    from .view import EngagementView


class _Display:
    """One place where a view is shown."""

    def __init__(self, picture: dict[str, str], *, in_place: bool) -> None:
        self.id = uuid4().hex
        self.picture = picture
        self.in_place = in_place


_displays: weakref.WeakKeyDictionary[EngagementView, list[_Display]] = weakref.WeakKeyDictionary()
_shells: weakref.WeakSet[Any] = weakref.WeakSet()
"""Shells that tell when a cell ends."""
_cell_runs = False


def show(view: EngagementView) -> None:
    """Display `view` here. A run that goes on is looked after."""
    from IPython.display import display

    in_place = is_notebook_page()
    data, metadata = view.bundle(in_place=in_place)
    if not view.is_followed:
        display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
        return
    place = _Display(view.picture(), in_place=in_place)
    _displays.setdefault(view, []).append(place)
    _watch_cells()
    display(data, metadata=metadata, raw=True, display_id=place.id)  # type: ignore[no-untyped-call]


def ended(view: EngagementView) -> None:
    """The run of `view` is over. While a cell runs the picture waits for its end: each change draws the view anew."""
    if not _cell_runs:
        _refresh(view)


def replace(view: EngagementView, text: str) -> None:
    """Put a line in the place of `view`, wherever it is shown."""
    from IPython.display import display

    for place in _displays.pop(view, ()):
        display({"text/plain": text}, raw=True, display_id=place.id, update=True)  # type: ignore[no-untyped-call]


def _watch_cells() -> None:
    global _cell_runs
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None or shell in _shells:
        return
    _shells.add(shell)
    _cell_runs = True  # something is displayed: a cell runs
    shell.events.register("pre_run_cell", _cell_begins)
    shell.events.register("post_run_cell", _cell_ends)


def _cell_begins(*_: Any) -> None:
    global _cell_runs
    _cell_runs = True


def _cell_ends(*_: Any) -> None:
    global _cell_runs
    _cell_runs = False
    for view in list(_displays):
        _refresh(view)
    if not _displays:
        _unwatch_cells()


def _unwatch_cells() -> None:
    """Give back what was taken from the shell."""
    for shell in list(_shells):
        shell.events.unregister("pre_run_cell", _cell_begins)
        shell.events.unregister("post_run_cell", _cell_ends)
    _shells.clear()


def _refresh(view: EngagementView) -> None:
    """Bring the kept pictures up to date; those of a run that is over are looked after no longer."""
    from IPython.display import display

    picture = view.picture()
    for place in _displays.get(view, ()):
        if place.picture == picture:
            continue
        place.picture = picture
        data, metadata = view.bundle(in_place=place.in_place)
        display(data, metadata=metadata, raw=True, display_id=place.id, update=True)  # type: ignore[no-untyped-call]
    if not view.is_followed:
        _displays.pop(view, None)
