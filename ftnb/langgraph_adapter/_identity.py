"""Which engagement does a root run belong to?

With callbacks alone the checkpoint that a run loads cannot be seen, so its thread stands for it: same saver object,
same thread id and namespace, in this kernel. A saver that can be looked into without I/O is asked whether it holds the
thread.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

_MAX_THREADS = 10_000
"""Threads remembered per saver; older ones are forgotten first, and begin a new engagement when they go on."""


class ThreadProbe(NamedTuple):
    """What the agent's thread could see of the conversation as a root run began."""

    saver: Any
    thread_id: str
    namespace: str
    checkpoint_id: str | None
    """Asked for by the caller; None: the latest."""
    holds: bool | None
    """Whether the saver has this thread; None: cannot be told without I/O."""
    latest: str | None
    """Id of the thread's latest checkpoint, where that can be told without I/O."""


def probe(saver: Any, configurable: Any) -> ThreadProbe | None:
    """What can be told of the thread of a run; None when nothing is kept. No I/O, no locks."""
    thread_id = configurable.get("thread_id") if configurable else None
    if saver is None or isinstance(saver, bool) or thread_id is None:
        return None
    namespace = str(configurable.get("checkpoint_ns") or "")
    asked = configurable.get("checkpoint_id")
    holds: bool | None = None
    latest: str | None = None
    storage = getattr(saver, "storage", None)
    if isinstance(storage, dict) and any(base.__name__ == "InMemorySaver" for base in type(saver).__mro__):
        saved = (storage.get(thread_id) or storage.get(str(thread_id)) or {}).get(namespace)
        holds = bool(saved)
        latest = max(saved) if saved else None
    return ThreadProbe(saver, str(thread_id), namespace, None if asked is None else str(asked), holds, latest)


@dataclass(slots=True)
class Thread:
    """One conversation of one saver, as this kernel knows it."""

    engagement: Any
    """Whose turn wrote the latest checkpoint."""
    checkpoint_id: str | None = None
    """Id of that checkpoint; None: not seen."""


class Verdict(NamedTuple):
    """Where a root run belongs."""

    kind: Literal["new", "continue", "fork"]
    engagement: Any = None
    """The one that goes on, or that was forked from."""


class Identity:
    """Remembers which engagement each conversation of this kernel belongs to. Not thread-safe."""

    def __init__(self) -> None:
        self._savers: dict[int, tuple[Callable[[], Any], OrderedDict[tuple[str, str], Thread]]] = {}

    def resolve(self, seen: ThreadProbe | None, *, resumes: bool, is_paused: Callable[[Any], bool]) -> Verdict:
        """Where the run that saw `seen` belongs; `resumes` when its input goes on from the loaded checkpoint."""
        thread = None if seen is None else self._threads(seen.saver).get((seen.thread_id, seen.namespace))
        if seen is None or thread is None or seen.holds is False:
            return Verdict("new")
        if seen.checkpoint_id is None:
            return Verdict("continue", thread.engagement)
        latest = seen.latest or thread.checkpoint_id
        if latest is None:
            # Callers resume with the config of the state that they looked at, which names its checkpoint.
            is_latest = resumes and is_paused(thread.engagement)
        else:
            is_latest = seen.checkpoint_id == latest
        return Verdict("continue" if is_latest else "fork", thread.engagement)

    def bind(self, seen: ThreadProbe, engagement: Any) -> None:
        """The conversation belongs to `engagement` from now on."""
        threads = self._threads(seen.saver)
        threads[seen.thread_id, seen.namespace] = Thread(engagement)
        threads.move_to_end((seen.thread_id, seen.namespace))
        while len(threads) > _MAX_THREADS:
            threads.popitem(last=False)

    def owner(self, seen: ThreadProbe) -> Any:
        """Whose conversation this kernel takes it for; None: it does not know."""
        thread = self._threads(seen.saver).get((seen.thread_id, seen.namespace))
        return None if thread is None else thread.engagement

    def written(self, seen: ThreadProbe, checkpoint_id: str | None) -> None:
        """The run that saw `seen` ended with this checkpoint."""
        thread = self._threads(seen.saver).get((seen.thread_id, seen.namespace))
        if thread is not None and checkpoint_id is not None:
            thread.checkpoint_id = checkpoint_id

    def _threads(self, saver: Any) -> OrderedDict[tuple[str, str], Thread]:
        key = id(saver)
        known = self._savers.get(key)
        if known is not None and known[0]() is saver:
            return known[1]
        threads: OrderedDict[tuple[str, str], Thread] = OrderedDict()
        try:
            alive: Callable[[], Any] = weakref.ref(saver, lambda _: self._savers.pop(key, None))
        except TypeError:  # no weak references to it: kept alive instead, for as long as the session
            alive = lambda: saver  # noqa: E731
        self._savers[key] = (alive, threads)
        return threads
