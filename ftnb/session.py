"""Recording every LangGraph run of this process: what `%load_ext ftnb` starts, for scripts and tests too."""

from __future__ import annotations

import atexit
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from os import PathLike
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .core.errors import FtnbError, InvalidArgumentError, UnknownEngagementError
from .langgraph_adapter import _events as events
from .langgraph_adapter import _install, _live, _place, _scope
from .langgraph_adapter._capture import Capture
from .langgraph_adapter._drive import Resumed
from .langgraph_adapter._scope import Labels, Scope
from .plain import Run
from .recorder import Recorder, RecorderStats
from .store.base import Store

if TYPE_CHECKING:
    from .audit import Audit
    from .traces import EngagementHandle

__all__ = ["Recording", "Session", "current", "engagement", "last", "record", "start", "stop"]

DEFAULT_STORE = "traces.db"
_STORE_CLOSE_SECONDS = 2.0

logger = logging.getLogger("ftnb")
_session: Session | None = None


class Session:
    """One stretch of recording into one store, from `start` to `stop`."""

    def __init__(self, store: Store, *, owns_store: bool) -> None:
        self.store = store
        self.recorder = Recorder(store)
        self.is_on = True
        self._owns_store = owns_store
        self._opened_as: object = store
        """What `start` was given."""
        self._capture = Capture(self.recorder)
        _install.acquire(self._connect)
        _place.ambient = self._capture
        if _install.is_installed() and "langgraph.graph" in sys.modules:
            from .langgraph_adapter import tap

            tap.ensure()  # else with the first run: an import that is under way is no time to try it

    def __repr__(self) -> str:
        return f"<ftnb: {self.describe()}>"

    def describe(self) -> str:
        """One line: what is recorded, and where."""
        verb = "recording every LangGraph run of this process" if self.is_on else "paused, nothing is recorded"
        return f"{verb}; store: {self.where}"

    @property
    def where(self) -> str:
        """The store, as a path where it is a file."""
        place = getattr(self.store, "folder", None) or getattr(self.store, "path", None)
        return str(place or getattr(self.store, "url", None) or repr(self.store))

    def pause(self) -> None:
        """Record nothing until `resume`. Runs in flight end here for the record, as abandoned, and go on unrecorded."""
        if self.is_on:
            self._capture.send(events.STOPPED, perf_counter_ns(), False)
        self.is_on = False
        self._connect()

    def resume(self) -> None:
        """Record again."""
        self.is_on = True
        self._connect()

    def stats(self) -> RecorderStats:
        """What was accepted, committed and dropped."""
        return self.recorder.stats()

    def newest(self) -> str | None:
        """Id of the engagement whose turn began last in this session; None: none yet."""
        self.recorder.flush()
        return self._capture.assembler.turns.newest

    def n_turns(self) -> int:
        """How many turns began in this session; changes whenever `newest` may have."""
        self.recorder.flush()
        return self._capture.assembler.turns.n_begun

    def peek(self) -> tuple[int, str | None]:
        """How many turns began, and the engagement of the last, as far as is written: it waits for nothing."""
        turns = self._capture.assembler.turns
        return turns.n_begun, turns.newest

    def n_engagements(self) -> int:
        """How many engagements began in this session."""
        self.recorder.flush()
        return self._capture.assembler.turns.n_engagements

    @property
    def is_file(self) -> bool:
        """Whether the store is a file that was opened by its path."""
        return self._owns_store and self.where != ":memory:"

    def _connect(self) -> None:
        _place.ambient = self._capture if self.is_on else None
        if _install.is_installed():
            from .langgraph_adapter.handler import AMBIENT

            AMBIENT.attach(self._capture if self.is_on else None)

    def _close(self) -> None:
        _place.ambient = None
        if _install.is_installed():
            from .langgraph_adapter.handler import AMBIENT

            AMBIENT.attach(None)
        self._capture.send(events.STOPPED, perf_counter_ns(), True)
        _install.release()
        self.recorder.close(_STORE_CLOSE_SECONDS)
        _live.let_go()
        close = getattr(self.store, "close", None)
        if self._owns_store and close is not None:
            close()


def start(store: str | PathLike[str] | Store = DEFAULT_STORE, *, audit: Audit | None = None) -> Session:
    """Record every LangGraph run of this process into `store`: a path, a URL, or a store object.

    URLs are `sqlite:///path`, `redis://host/0#prefix` and `postgresql://host/db#table`.

    With `audit` the store's head is signed from now on; without, it is kept all the same, and nobody has signed it.

    Starting again with the same store changes nothing else; another store takes its place from now on. Raises
    StoreError when the store cannot be opened; what was recorded into before is then still recorded into.
    """
    global _session
    if _session is not None and _same(_session, store):
        _session.resume()
        _sign(_session.store, audit)
        logger.info("ftnb: already %s", _session.describe())
        return _session
    opened, owns = _open(store)
    _sign(opened, audit)
    if _session is not None:
        _session._close()
    _session = Session(opened, owns_store=owns)
    _session._opened_as = store
    atexit.unregister(stop)
    atexit.register(stop)
    return _session


def _sign(store: Store, audit: Audit | None) -> None:
    if audit is not None:
        from .audit import Trail

        Trail(store).sign_with(audit)


def stop() -> None:
    """Stop recording, after everything so far is in the store. Nothing of ours stays in LangChain. Twice is fine.

    Runs in flight end here for the record, as abandoned, and go on unrecorded. The process's end stops recording too.
    """
    global _session
    session, _session = _session, None
    if session is not None:
        session._close()


def current() -> Session | None:
    """The session that records; None: none does."""
    return _session


def record(
    name: str | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    goal_nodes: Iterable[str] = (),
    global_nodes: Iterable[str] = (),
    node_tools: Mapping[str, Sequence[str]] | None = None,
    continue_: str | None = None,
) -> Recording:
    """Make one engagement of a block: `with ftnb.record("house_search") as run: …`, or `async with`.

    Each root run of a LangGraph graph in it is a turn; plain code tells its steps (`with run.step("search") as s:`,
    `@ftnb.step`); calls of models and tools outside any graph or step are steps of their own. Entering one of
    `global_nodes` is an intent switch; an engagement that reaches none of `goal_nodes` is abandoned; an exception that
    leaves the block ends it as failed. `continue_` is the id of an engagement whose next turn this is; what is not
    said again stays. Raises FtnbError where nothing is being recorded, UnknownEngagementError for an unknown id.
    """
    session = _require("ftnb.record(...)")
    if name is None and continue_ is None:
        raise InvalidArgumentError("an engagement needs a name: ftnb.record('house_search')")
    if name == "" or not isinstance(name, str | None):
        raise InvalidArgumentError(f"an engagement's name is a text that is not empty; got {name!r}")
    labels = Labels.of(name, metadata, goal_nodes, global_nodes, node_tools).over(_scope.cell_labels)
    scope = Scope(labels) if continue_ is None else _continued(session, labels, continue_)
    return Recording(session, scope)


def _continued(session: Session, labels: Labels, engagement_id: str) -> Scope:
    session.recorder.flush()
    engagement = session.store.get_engagement(engagement_id)
    goals = Labels(goal_nodes=frozenset(engagement.goal_nodes))
    return Scope(labels.over(goals), engagement_id=engagement.id, resumed=Resumed.of(engagement))


class Recording(Run):
    """The block of `record`; its engagement is there from the start."""

    def __init__(self, session: Session, scope: Scope) -> None:
        super().__init__(session._capture, scope)
        self._session = session
        self._exits = ExitStack()

    @property
    def engagement(self) -> EngagementHandle:
        """The block's engagement, as far as it got."""
        return _handle(self._session, self.engagement_id)

    def __enter__(self) -> Recording:
        if self._strand is not None:
            raise FtnbError(f"{self!r} was begun already, or is over; make another block with ftnb.record(…)")
        if self._session.is_on:
            self._exits.enter_context(_block(self._session, self._scope))
        self._began()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, error, trace)
        self._is_over = True

    async def __aenter__(self) -> Recording:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def last() -> EngagementHandle:
    """The engagement whose run began last in this session. Raises UnknownEngagementError when there is none yet."""
    session = _require("ftnb.last()")
    engagement_id = session.newest()
    if engagement_id is None:
        raise UnknownEngagementError(
            f"nothing was recorded in this session yet ({session.describe()}); run a LangGraph graph first, "
            "or open earlier traces with ftnb.open(...)"
        )
    return _handle(session, engagement_id)


def engagement(engagement_id: str) -> EngagementHandle:
    """An engagement of the store that is recorded into. Raises UnknownEngagementError."""
    return _handle(_require("ftnb.engagement(...)"), engagement_id)


def _block(session: Session, scope: Scope) -> AbstractContextManager[Scope]:
    from .langgraph_adapter.runner import scoped

    return scoped(session._capture, scope)


def _handle(session: Session, engagement_id: str) -> EngagementHandle:
    from .traces import Traces

    return Traces(session.store).engagement(engagement_id)


def _require(what: str) -> Session:
    if _session is None:
        raise FtnbError(
            f"{what} needs a recording session and there is none: "
            "use %load_ext ftnb in a notebook, or ftnb.start('traces.db') in a script"
        )
    return _session


def _same(session: Session, store: str | PathLike[str] | Store) -> bool:
    if not isinstance(store, (str, PathLike)):
        return store is session.store
    if store == ":memory:":
        return False  # a new one each time
    if isinstance(store, str) and _is_server(store):
        return session._opened_as == store
    place = _path(store).resolve()
    return getattr(session.store, "url", None) in (f"sqlite:///{place}", f"parquet://{place}")


def _open(store: str | PathLike[str] | Store) -> tuple[Store, bool]:
    """The store to record into, and whether it was opened here."""
    if not isinstance(store, (str, PathLike)):
        if not callable(getattr(store, "append", None)):
            raise InvalidArgumentError(
                f"cannot record into {store!r}: a store is a path ('traces.db', 'traces/'), a URL "
                "('postgresql://host/db', 'redis://host/0') or a store object"
            )
        return store, False
    from .store._url import make_store

    return make_store(store if isinstance(store, str) else Path(store)), True


def _is_server(url: str) -> bool:
    from .store._url import is_server

    return is_server(url)


def _path(store: str | PathLike[str]) -> Path:
    from .store._url import path_of

    return path_of(store if isinstance(store, str) else Path(store))
