"""What `%load_ext ftnb` and `%unload_ext ftnb` do: record, offer the magics, and give back exactly what was taken."""

from __future__ import annotations

from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from .. import session
from .magics import Magics, say

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_loaded: WeakKeyDictionary[Any, Magics] = WeakKeyDictionary()
"""Per shell: what was registered there."""
_stores: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""Per shell: the store file at the last unload, so that %reload_ext goes on where it was."""


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Start recording into ./traces.db, unless something records already, and register magics and display."""
    if shell in _loaded:
        say(f"ftnb is loaded already, {_state()}")
        return
    magics = Magics(shell)
    if session.current() is None:
        session.start(_stores.pop(shell, session.DEFAULT_STORE))
        magics.owns_session = True
    magics.register()
    _loaded[shell] = magics
    formatters = _formatters()
    if formatters is not None:
        formatters.register(shell)
    say(f"ftnb: {_state()} (more: %ftnb help){_without_langgraph()}")


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take everything back out of the shell, and stop recording if loading began it. Twice is fine."""
    magics = _loaded.pop(shell, None)
    if magics is None:
        return
    magics.unregister()
    formatters = _formatters()
    if formatters is not None:
        formatters.unregister(shell)
    current = session.current()
    if current is not None and magics.owns_session:
        # A store in memory or of the user's own is gone, or not ours to open again.
        if current.is_file:
            _stores[shell] = current.where
        session.stop()


def _state() -> str:
    current = session.current()
    return "nothing is recorded" if current is None else current.describe()


def _without_langgraph() -> str:
    if find_spec("langgraph") is not None:
        return ""
    return "\n  LangGraph is not installed here, so no graph can run; for graphs: pip install 'ftnb[langgraph]'"


def _formatters() -> ModuleType | None:
    try:
        from . import formatters
    except ImportError:  # the display needs packages that a bare install may lack
        return None
    return formatters
