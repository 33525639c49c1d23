"""Putting the handler into every LangChain run of the process, and taking it out again.

LangChain asks its configure hooks at the start of each run. The hook is registered when LangChain's own module for it
is imported; where it is not imported yet, an import finder waits for that, so that loading ftnb stays quick.
"""

from __future__ import annotations

import importlib.machinery
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from types import ModuleType
from typing import Any

_HOOKS_MODULE = "langchain_core.tracers.context"
_REMOTE_MODULE = "langgraph.pregel.remote"
_AWAITED = (_HOOKS_MODULE, _REMOTE_MODULE)
_PATCHES = (f"{__package__}.tap", f"{__package__}._pools", f"{__package__}.remote")
_lock = threading.Lock()
_wanted = 0
"""How many want the hook: the session, and each explicit run."""
_hook: Any = None
_on_ready: list[Callable[[], None]] = []


def acquire(on_ready: Callable[[], None] | None = None) -> None:
    """Have the hook installed, now or when LangChain is imported; `on_ready` is called then. Pair with `release`."""
    global _wanted
    with _lock:
        _wanted += 1
        if on_ready is not None:
            _on_ready.append(on_ready)
        ready = _HOOKS_MODULE in sys.modules
        missing = any(name not in sys.modules for name in _AWAITED)
        if missing and not any(isinstance(finder, _Waiting) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Waiting())
    if ready:
        _install()
    if _REMOTE_MODULE in sys.modules:
        _install_remote()


def release() -> None:
    """Give the hook back; the last one takes it out of LangChain."""
    global _wanted, _hook
    with _lock:
        _wanted = max(_wanted - 1, 0)
        if _wanted:
            return
        _on_ready.clear()
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Waiting)]
        for name in _PATCHES:
            if name in sys.modules:
                sys.modules[name].remove()
        hooks = getattr(sys.modules.get(_HOOKS_MODULE), "_configure_hooks", None)
        if _hook is not None and hooks is not None:
            hooks[:] = [hook for hook in hooks if hook is not _hook]
        _hook = None


def is_installed() -> bool:
    """Whether LangChain asks our hook; False while LangChain is not imported."""
    return _hook is not None


def _install() -> None:
    global _hook
    with _lock:
        if _hook is None and _wanted:
            from langchain_core.tracers import context

            from . import _pools
            from .handler import HANDLER

            context.register_configure_hook(HANDLER, True)
            _hook = context._configure_hooks[-1]
            _pools.install()
        ready = list(_on_ready)
        _on_ready.clear()
    for call in ready:
        call()


def _install_remote() -> None:
    from . import remote

    remote.install()


class _Waiting(MetaPathFinder):
    """Notices the import of LangChain's hooks, and of LangGraph's remote graphs."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The ordinary spec, whose loader tells us when it is done."""
        if name not in _AWAITED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Telling(spec.loader)
        return spec


class _Telling(Loader):
    """Loads as the loader that it stands for, then installs the hook."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """As the loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As the loader does; then the hook goes in, and no trace of this loader stays."""
        self._loader.exec_module(module)
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        if all(name in sys.modules for name in _AWAITED):
            sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Waiting)]
        _after_import(module.__name__)


def _after_import(name: str) -> None:
    try:
        if name == _HOOKS_MODULE:
            _install()
        else:
            _install_remote()
    except Exception as error:  # the user's import must not fail because of us
        import logging

        logging.getLogger("ftnb").warning("ftnb: LangChain is here but cannot be recorded: %s", error)
