"""How an engagement looks as the last expression of a cell."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from ..core.errors import FtnbError

_MODULE, _NAME = "ftnb.core.model", "Engagement"
_KEY = (_MODULE, _NAME)

_taken: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
"""Per shell: what was registered for our type before (None: nothing)."""


def register(ip: Any) -> None:
    """Show engagements as widgets in the IPython shell `ip`; a second call does nothing.

    The type is named, not imported, and a formatter that the user registers later replaces this one.
    """
    if ip is None or ip in _taken:
        return
    formatter = ip.display_formatter.mimebundle_formatter
    _taken[ip] = _current(formatter)
    has_kernel = getattr(ip, "kernel", None) is not None
    _install(formatter, _display_live if has_kernel else _display_text)


def unregister(ip: Any) -> None:
    """Give back what was there before `register`, unless the user has replaced it since."""
    if ip is None or ip not in _taken:
        return
    before = _taken.pop(ip)
    formatter = ip.display_formatter.mimebundle_formatter
    if _current(formatter) not in (_display_live, _display_text):
        return
    _remove(formatter)
    if before is not None:
        _install(formatter, before)


def _current(formatter: Any) -> Any:
    """The function that is registered for our type, whether it was met already or not; None if there is none."""
    for kind, function in formatter.type_printers.items():
        if (kind.__module__, kind.__name__) == _KEY:
            return function
    return formatter.deferred_printers.get(_KEY)


def _install(formatter: Any, function: Any) -> None:
    for kind in list(formatter.type_printers):
        if (kind.__module__, kind.__name__) == _KEY:
            formatter.for_type(kind, function)
            return
    formatter.for_type_by_name(_MODULE, _NAME, function)


def _remove(formatter: Any) -> None:
    formatter.deferred_printers.pop(_KEY, None)
    for kind in list(formatter.type_printers):
        if (kind.__module__, kind.__name__) == _KEY:
            formatter.type_printers.pop(kind)


def _display_live(engagement: Any, include: Any = None, exclude: Any = None) -> Any:
    """The widget with the static picture beside it; the picture alone where the widget cannot be made."""
    from ..widget.view import EngagementView

    try:
        return EngagementView(engagement)._repr_mimebundle_()
    except FtnbError as error:
        bundle = _static(engagement)
        return {**bundle, "text/plain": f"{bundle['text/plain']}\n({error})"}


def _display_text(engagement: Any, include: Any = None, exclude: Any = None) -> Any:
    return _static(engagement)


def _static(engagement: Any) -> dict[str, str]:
    from ..widget.payload import engagement_payload
    from ..widget.picture import static_html, summary_line

    payload = engagement_payload(engagement, details="none")
    return {"text/html": static_html(payload), "text/plain": summary_line(payload)}
