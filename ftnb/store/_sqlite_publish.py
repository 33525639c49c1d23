"""A store whose file lies on a network drive: recorded into a file on this machine, and published from there.

SQLite's write-ahead log needs memory that all its users share, which no network drive gives; without it, or with locks
that a drive only pretends to keep, files are destroyed. So SQLite never touches the drive: a copy made by its backup is
put there whole. Several processes of this machine share the local file; another machine that
wants to record is refused, by a note beside the file, as long as this one does.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import platform
import shutil
import sqlite3
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from ..core.errors import StoreError
from ._sqlite_schema import connect

logger = logging.getLogger("ftnb")

_SECONDS = 10.0
"""Between two publications, and ten times what the last one took."""
_open: weakref.WeakSet[Published] = weakref.WeakSet()


class Published:
    """The way of one local file to its place on the drive."""

    def __init__(self, target: Path) -> None:
        """Take the file on the drive, if there is one, to this machine. Raises StoreError where that cannot be, or
        another machine records into it."""
        self.target = Path(os.path.realpath(target))
        if not self.target.parent.is_dir():
            folder = str(self.target.parent)
            raise StoreError(f"cannot open the store {str(target)!r}: there is no folder {folder!r}; create it first")
        self._note = _note_of(self.target)
        self._ensure_ours()
        self.local = local_file(self.target)
        self._state = self.local.with_suffix(".published")
        with self._alone():
            self._fetch()
        self._changed = threading.Event()
        self._closed = False
        self._lock = threading.Lock()
        self._last, self._took = time.monotonic(), 0.0
        self._pid = os.getpid()
        self._told = False
        self._thread: threading.Thread | None = None
        _open.add(self)

    def _ensure_ours(self) -> None:
        other = recorded_elsewhere(self.target)
        if other is not None:
            raise StoreError(
                f"the machine {other[0]!r} has recorded into {str(self.target)!r} since {other[1]}, and two machines "
                "cannot at the same time; record into another file (ftnb.open takes several), or, if that machine is "
                f"gone, delete {_note_of(self.target).name!r} beside it"
            )

    def _fetch(self) -> None:
        """Have what is on the drive here, unless what is here came from nowhere else."""
        there, known = _stamp(self.target), self._known()
        if there == known:
            return  # also when it was never published
        if self.local.exists():
            kept = self.local.with_name(f"{self.local.stem}-{time.time_ns()}.db")
            _backup(self.local, kept)
            logger.warning(
                "ftnb: %s was replaced or deleted by others; what was recorded here before is kept as %s, and "
                "ftnb.copy brings it in", self.target, kept,
            )  # fmt: skip
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self.local}{suffix}").unlink(missing_ok=True)
        for suffix in ("", "-wal") if there is not None else ():
            if Path(f"{self.target}{suffix}").exists():
                shutil.copyfile(f"{self.target}{suffix}", f"{self.local}{suffix}")
        self._remember(there)

    def _known(self) -> list[int] | None:
        """What the file on the drive was like when it was last the same as the one here."""
        try:
            known: list[int] = json.loads(self._state.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return known

    def _remember(self, stamp: list[int] | None) -> None:
        self._state.write_text(json.dumps(stamp), "utf-8")

    def changed(self) -> None:
        """Something was committed: publish it soon."""
        if self._pid != os.getpid():
            return  # a forked child: its parent publishes
        self._changed.set()
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=self._run, args=(weakref.ref(self),), name="ftnb-publish", daemon=True
            )
            self._thread.start()

    @staticmethod
    def _run(me: weakref.ref[Published]) -> None:
        while (published := me()) is not None and not published._closed:
            wait = max(_SECONDS, 10 * published._took) - (time.monotonic() - published._last)
            if wait <= 0 and published._changed.is_set():
                published._try()
            del published
            time.sleep(min(max(wait, 0.05), 0.5))

    def _try(self) -> None:
        try:
            self.publish()
        except StoreError as error:
            self._last = time.monotonic()
            if not self._told:
                self._told = True
                logger.warning("ftnb: %s (said once; tried again until it is done)", error)

    def publish(self) -> None:
        """Put a copy in its place now. Raises StoreError; what is on the drive then is what was there before."""
        with self._lock:
            begun = time.monotonic()
            self._changed.clear()
            temporary = self.target.with_name(f".{self.target.name}.{os.getpid()}.tmp")
            copy = self.local.with_name(f"{self.local.stem}.{os.getpid()}.tmp")
            try:
                self._ensure_ours()
                if not self._note.exists():
                    since = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
                    self._note.write_text(json.dumps({"host": platform.node(), "since": since}), "utf-8")
                _backup(self.local, copy)
                with self._alone():
                    _copy_durably(copy, temporary)
                    os.replace(temporary, self.target)
                    self._remember(_stamp(self.target))
            except (OSError, sqlite3.Error, StoreError) as error:
                self._changed.set()
                if isinstance(error, StoreError):
                    raise
                raise StoreError(
                    f"cannot publish to {str(self.target)!r}: {error}; all of it is in {str(self.local)!r}"
                ) from error
            finally:
                copy.unlink(missing_ok=True)
                self._last, self._took = time.monotonic(), time.monotonic() - begun

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process of this machine looks at, or moves, the file on the drive meanwhile."""
        with open(self.local.with_suffix(".lock"), "ab") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def close(self) -> None:
        """Publish what is left, and let other machines record."""
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        with self._lock:
            pass  # what is on its way arrives first
        if self._changed.is_set():
            self._try()
        if not self._changed.is_set():
            self._note.unlink(missing_ok=True)


def local_file(target: Path) -> Path:
    """The file on this machine for one on a drive: the same for every process of the user."""
    user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = Path(os.environ.get("FTNB_LOCAL_FOLDER") or Path(tempfile.gettempdir()) / f"ftnb-{user}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise StoreError(f"the folder {str(folder)!r} belongs to somebody else; name another in FTNB_LOCAL_FOLDER")
    digest = blake2b(str(target).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    return folder / f"{target.stem[:60]}-{digest}.db"


def recorded_elsewhere(target: Path) -> tuple[str, str] | None:
    """The machine that records into a file on a drive, and since when; None: it is this one, or none."""
    try:
        said = json.loads(_note_of(Path(os.path.realpath(target))).read_text("utf-8"))
        host, since = str(said["host"]), str(said["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None if host == platform.node() else (host, since)


def _note_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.recording")


def _backup(source: Path, target: Path) -> None:
    """A copy by SQLite's backup, which may be taken while others write; without a log beside it."""
    target.unlink(missing_ok=True)
    with closing(connect(str(source), read_only=True)) as read, closing(sqlite3.connect(target)) as write:
        read.backup(write)
        write.execute("PRAGMA journal_mode=DELETE")


def _copy_durably(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("wb") as write:
        shutil.copyfileobj(read, write, 1 << 20)
        write.flush()
        os.fsync(write.fileno())


def _stamp(path: Path) -> list[int] | None:
    """Tells one state of a file from another."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


@atexit.register
def _publish_all() -> None:
    for published in list(_open):
        published.close()
