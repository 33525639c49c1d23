"""The tap on LangGraph's loop: what happens between callbacks.

It tells of what no callback does: the checkpoint that a run loaded and those that it wrote, nodes whose result came
from the cache, what nodes wrote to which channel, what they wrote to the stream, and edits by `update_state`.

It wraps private methods, so it must be harmless where they have changed. Each wrapper passes on exactly what it was
given, and looks on before or after; a fault of its own is counted, never raised. Before it is put in for good it is
tried on a graph of one node: where that does not show what it should, everything is taken out again, a warning says
what is missing, and callbacks alone go on recording the rest.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from time import perf_counter_ns
from typing import Any

from ..core.freeze import freeze
from ..core.ids import now_us
from . import _events as events
from .topology import START

logger = logging.getLogger("ftnb")

_RUNTIME = "__pregel_runtime"
_MISSING = (
    "the checkpoint that a run goes on from, nodes answered from the cache, custom stream writes, and update_state"
)
_MATCH, _AMATCH = "match_cached_writes", "amatch_cached_writes"
_wrapped: list[tuple[type, str, Any, Any]] = []
"""Class, attribute, what was there, what is there now."""
_lock = threading.Lock()
_state = "out"
"""out, trying, in, failed, or off (by `disable`)."""
_editing: ContextVar[bool] = ContextVar("ftnb_editing", default=False)


def is_in() -> bool:
    """Whether runs that begin now are seen by the tap."""
    return _state == "in"


def ensure() -> bool:
    """Put the tap in unless that was tried before; whether it is in. Takes a few milliseconds once. Never raises."""
    global _state
    if _state != "out":
        return _state == "in"
    with _lock:
        if _state != "out":
            return is_in()
        _state = "trying"
    try:
        _install()
        from ._canary import problem

        found = problem()
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    if found is not None:
        _uninstall()
        _state = "failed"
        logger.warning(
            "ftnb: this LangGraph (%s) cannot be looked into (%s); not recorded: %s. All else is.",
            _version(),
            found,
            _MISSING,
        )
    else:
        _state = "in"
    return is_in()


def remove() -> None:
    """Take the tap out; LangGraph's classes are as they were. It is put in again by the next `ensure`."""
    global _state
    with _lock:
        _uninstall()
        if _state != "off":
            _state = "out"


def disable(off: bool = True) -> None:
    """Do without the tap from now on, or no longer."""
    global _state
    remove()
    _state = "off" if off else "out"


def _version() -> str:
    from importlib.metadata import version

    return version("langgraph")


def _install() -> None:
    from langgraph.pregel import Pregel, _loop

    base, sync_loop, async_loop = _loop.PregelLoop, _loop.SyncPregelLoop, _loop.AsyncPregelLoop
    _wrap(base, "__init__", _init)
    _wrap(base, "_first", _first)
    for owner, name in ((base, "_put_checkpoint"), (base, "after_tick"), (sync_loop, _MATCH), (async_loop, _AMATCH)):
        vars(owner)[name]  # wrapped where they matter (`_wrap_own`); they must be there
    _wrap(Pregel, "bulk_update_state", _update_state)
    _wrap(Pregel, "abulk_update_state", _aupdate_state)


def _wrap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    original = owner.__dict__[name]
    tapped = functools.wraps(original)(make(original))
    setattr(owner, name, tapped)
    _wrapped.append((owner, name, original, tapped))


def _uninstall() -> None:
    while _wrapped:
        owner, name, original, tapped = _wrapped.pop()
        # Somebody who has wrapped ours in the meantime keeps it; without a target it only passes on.
        if owner.__dict__.get(name) is tapped:
            setattr(owner, name, original)


def _handler() -> Any:
    """LangChain's handler of this context; None: none."""
    return sys.modules["ftnb.langgraph_adapter.handler"].HANDLER.get()


def _target() -> Any:
    """Who records in this context; None: nobody."""
    handler = _handler()
    return None if handler is None else handler.target


# --- the loop; what is kept on it dies with it, for a loop lives as long as its run ---


def _init(original: Any) -> Any:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        handler = _handler()
        if handler is None or handler.target is None or self.manager is None:
            return
        target = handler.target
        try:
            run_id = self.manager.run_id
            self._ftnb = target, run_id
            if run_id.int in handler.graphs:
                handler.graphs[run_id.int] = self
            configurable = self.config["configurable"]
            runtime = configurable.get(_RUNTIME)
            writer = getattr(runtime, "stream_writer", None)
            if writer is not None and not hasattr(writer, "_ftnb"):
                configurable[_RUNTIME] = runtime.override(stream_writer=_telling(writer))
            look_after(self)
            if self.checkpointer is not None:
                _wrap_own(self, "_put_checkpoint", _put_checkpoint)
            if self.cache is not None:
                is_async = _AMATCH in vars(type(self))
                _wrap_own(self, *((_AMATCH, _amatch_cached) if is_async else (_MATCH, _match_cached)))
        except Exception as error:
            target.drop("the tap's start", error)

    return __init__


def _wrap_own(loop: Any, name: str, make: Callable[[Any, Any], Any]) -> None:
    """Wrap a method of this loop alone: it is called at every superstep, and says something in few runs.

    The loop is held weakly, or it would live on, and its run's state with it, until a garbage collection.
    """
    setattr(loop, name, make(weakref.ref(loop), getattr(type(loop), name)))


def _telling(writer: Callable[[Any], None]) -> Callable[[Any], None]:
    """`writer`, and the log of what is written. Whoever records now is asked at each call: a writer may be kept."""

    def stream_writer(chunk: Any) -> None:
        writer(chunk)
        target = _target()
        if target is None:
            return
        try:
            from langchain_core.runnables.config import var_child_runnable_config

            config = var_child_runnable_config.get() or {}
            parent = getattr(config.get("callbacks"), "parent_run_id", None)
            target.send(events.CUSTOM, perf_counter_ns(), parent, "stream", freeze(chunk), "stream")
        except Exception as error:
            target.drop("a stream write", error)

    stream_writer._ftnb = True  # type: ignore[attr-defined]
    return stream_writer


def _first(original: Any) -> Any:
    def _first(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen = self.__dict__.get("_ftnb")
        if seen is not None:
            target, run_id = seen
            try:
                # A checkpoint that was only made up has no versions of channels yet.
                loaded = self.checkpoint["id"] if self.checkpoint["channel_versions"] else None
                before = (self.prev_checkpoint_config or {}).get("configurable", {}).get("checkpoint_id")
                is_saved = self.checkpointer is not None
                target.send(events.LOADED, perf_counter_ns(), run_id, loaded if is_saved else None, before, is_saved)
            except Exception as error:
                target.drop("a loaded checkpoint", error)
        return original(self, *args, **kwargs)

    return _first


def _put_checkpoint(own: Any, original: Any) -> Any:
    def _put_checkpoint(*args: Any, **kwargs: Any) -> Any:
        self = own()
        result = original(self, *args, **kwargs)
        if _wrapped:
            target, run_id = self._ftnb
            try:
                is_there = getattr(self, "durability", None) != "exit"
                target.send(events.CHECKPOINT, run_id, self.checkpoint["id"], is_there)
            except Exception as error:
                target.drop("a checkpoint", error)
        return result

    return _put_checkpoint


def look_after(loop: Any, task_id: str | None = None) -> None:
    """Tell, once the superstep is over, what was written at the graph's start, or by a task whose node ended before."""
    about = loop.__dict__
    about.setdefault("_ftnb_late", set()).add(task_id)
    if "after_tick" not in about:
        _wrap_own(loop, "after_tick", _after_tick)


def _after_tick(own: Any, original: Any) -> Any:
    def after_tick() -> Any:
        self = own()
        late = self.__dict__.pop("_ftnb_late", ())
        self.__dict__.pop("after_tick", None)  # once: there is nothing to tell of most supersteps
        if _wrapped:
            target, run_id = self._ftnb
            try:
                for task in self.tasks.values():
                    if task.name == START or task.id in late:
                        target.put((events.WRITES, run_id, task.id, task.name, tuple(task.writes)))
            except Exception as error:
                target.drop("what tasks wrote", error)
        return original(self)

    return after_tick


def _match_cached(own: Any, original: Any) -> Any:
    def match_cached_writes(*args: Any, **kwargs: Any) -> Any:
        matched = original(own(), *args, **kwargs)
        if matched and _wrapped:
            _cached(own(), matched)
        return matched

    return match_cached_writes


def _amatch_cached(own: Any, original: Any) -> Any:
    async def amatch_cached_writes(*args: Any, **kwargs: Any) -> Any:
        matched = await original(own(), *args, **kwargs)
        if matched and _wrapped:
            _cached(own(), matched)
        return matched

    return amatch_cached_writes


def _cached(loop: Any, tasks: Any) -> None:
    target, run_id = loop._ftnb
    try:
        for task in tasks:
            about = dict((task.config or {}).get("metadata") or {})
            about.setdefault("langgraph_node", task.name)
            given, writes = freeze(task.input), tuple(task.writes)
            target.send(events.CACHED, perf_counter_ns(), run_id, about, given, writes, task.triggers)
    except Exception as error:
        target.drop("a cached node", error)


# --- edits ---


def _update_state(original: Any) -> Any:
    def bulk_update_state(self: Any, config: Any, supersteps: Any, *args: Any, **kwargs: Any) -> Any:
        if _editing.get():
            return original(self, config, supersteps, *args, **kwargs)
        seen = _before_edit(self, config)
        token = _editing.set(True)
        try:
            result = original(self, config, supersteps, *args, **kwargs)
        finally:
            _editing.reset(token)
        _edited(seen, supersteps, result)
        return result

    return bulk_update_state


def _aupdate_state(original: Any) -> Any:
    async def abulk_update_state(self: Any, config: Any, supersteps: Any, *args: Any, **kwargs: Any) -> Any:
        if _editing.get():
            return await original(self, config, supersteps, *args, **kwargs)
        seen = _before_edit(self, config)
        token = _editing.set(True)
        try:
            result = await original(self, config, supersteps, *args, **kwargs)
        finally:
            _editing.reset(token)
        _edited(seen, supersteps, result)
        return result

    return abulk_update_state


def _before_edit(graph: Any, config: Any) -> Any:
    target = _target()
    if target is None:
        return None
    try:
        from ._identity import probe

        configurable = (config or {}).get("configurable") or {}
        saver = configurable.get("__pregel_checkpointer") or getattr(graph, "checkpointer", None)
        return target, probe(saver, configurable)
    except Exception as error:
        target.drop("an edit of the state", error)
        return None


def _edited(seen: Any, supersteps: Any, result: Any) -> None:
    if seen is None or seen[1] is None:
        return
    target, thread = seen
    try:
        updates = [
            {"values": update[0], "as_node": update[1] if len(update) > 1 else None}
            for superstep in supersteps
            for update in superstep
        ]
        made = ((result or {}).get("configurable") or {}).get("checkpoint_id")
        target.send(events.EDITED, now_us(), thread, made, freeze(updates))
    except Exception as error:
        target.drop("an edit of the state", error)
