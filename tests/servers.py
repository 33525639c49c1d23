"""Real servers for tests, on sockets of their own: PostgreSQL and Redis. Started on first use, stopped at the end."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

NO_REDIS = "no redis-server on PATH, so nothing was tested on Redis. Install it (Debian: apt-get install redis-server)"
NO_POSTGRES = (
    "no PostgreSQL found (initdb, pg_ctl), so nothing was tested on it. Install it (Debian: apt-get install postgresql)"
)


def missing(message: str) -> NoReturn:
    """Skip with a word; in CI a missing server must not look like a passed test."""
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


class RedisServer:
    """A Redis server on a Unix socket; `extra` are options of its command line."""

    def __init__(self, folder: Path, *extra: str, durable: bool = False) -> None:
        """`durable`: the disk is waited for once a second, as in production. While that takes long, Redis keeps what it
        acknowledged in its own memory for up to two seconds, which tests that kill it cannot do with."""
        self.folder, self._extra = folder, extra
        self._fsync = "everysec" if durable else "no"
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}?db=0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        program = shutil.which("redis-server") or missing(NO_REDIS)
        kept = ["--appendonly", "yes", "--appendfsync", self._fsync, "--save", ""]
        where = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder)]
        log = (self.folder / "redis.log").open("ab")
        self._process = subprocess.Popen([program, *where, *kept, *self._extra], stdout=log, stderr=log)
        log.close()
        _wait_for(self.socket.exists, f"Redis in {self.folder}")
        _wait_for(lambda: b"ready to accept" in (self.folder / "redis.log").read_bytes(), f"Redis in {self.folder}")

    def stop(self) -> None:
        """Stop as a crash would: at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.socket.unlink(missing_ok=True)
            (self.folder / "redis.log").unlink(missing_ok=True)


class PostgresServer:
    """A PostgreSQL server on a Unix socket. It refuses to run as root, so root runs it as the user `postgres`."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        """`durable`: commits wait for the disk, as in production."""
        self.folder, self._data = folder, folder / "data"
        self._fsync = "on" if durable else "off"
        self.dsn = f"host={folder} user=postgres dbname=postgres"

    def start(self) -> None:
        """Make the cluster on the first start; start, and wait until it answers."""
        if not self._data.exists():
            _give_to_postgres(self.folder)
            # An empty cluster is made once in a process, which takes a second, and copied.
            subprocess.run(["cp", "-a", str(_empty_cluster()), str(self._data)], check=True)
        options = f"-k {self.folder} -c listen_addresses='' -c fsync={self._fsync}"
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, how: str = "immediate") -> None:
        """Stop: `immediate` is a crash, `fast` ends connections in order."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", str(self._data), "-m", how, "-w", "stop")

    def require_password(self, role: str) -> None:
        """From now on, `role` must give its password."""
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"local all {role} scram-sha-256\n{rules.read_text()}")
        self._run("pg_ctl", "-D", str(self._data), "reload")

    def _run(self, program: str, *arguments: str) -> None:
        _run_as_postgres(self.folder, program, *arguments)


@cache
def _empty_cluster() -> Path:
    """The data of a cluster that nobody has used; removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="ftnb-empty-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _give_to_postgres(folder)
    options = ["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"]
    _run_as_postgres(folder, "initdb", "-D", str(folder / "data"), *options)
    return folder / "data"


def _give_to_postgres(folder: Path) -> None:
    if os.getuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)


def _run_as_postgres(folder: Path, program: str, *arguments: str) -> None:
    command = [_postgres_program(program), *arguments]
    if os.getuid() == 0:
        command = ["runuser", "-u", "postgres", "--", *command]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{program} failed: {done.stdout[-800:]} {done.stderr[-800:]}")


def have_postgres() -> bool:
    """Whether PostgreSQL is installed."""
    return _find_postgres("initdb") is not None


def _postgres_program(name: str) -> str:
    return _find_postgres(name) or missing(NO_POSTGRES)


def _find_postgres(name: str) -> str | None:
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(installed[-1]) if installed else None)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket and which another user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="ftnb-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def redis_server(*extra: str, durable: bool = False) -> Iterator[RedisServer]:
    """A Redis server for as long as the context lasts."""
    with short_folder() as folder:
        server = RedisServer(folder, *extra, durable=durable)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A PostgreSQL server for as long as the context lasts."""
    with short_folder() as folder:
        server = PostgresServer(folder, durable=durable)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _wait_for(ready: object, what: str, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not ready():  # type: ignore[operator]
        if time.monotonic() > until:
            raise RuntimeError(f"{what} did not start within {seconds:g} s")
        time.sleep(0.01)
