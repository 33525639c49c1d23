"""What a backend says when it fails, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping

_WRITTEN = "nothing of this was written"

_SQLITE = {
    "closed database": "the store was closed; open it again",
    "disk is full": f"{_WRITTEN}; make room on its disk",
    "is locked": f"{_WRITTEN}; another process writes for longer than we wait",
    "readonly database": "it was opened for reading only, or file or folder may not be written",
    "no such table": "a table is gone, which ftnb never does; put a copy of the file in its place",
    "disk I/O error": "the disk failed, or is not there any more",
}
_REDIS = {
    "AuthenticationError": "the server refuses the password, or wants one; write it into the url, "
    "redis://user:password@host",
    "maxmemory": f"{_WRITTEN}; give the server more memory (maxmemory), or purge",
    "WRONGTYPE": "keys of another program are under this prefix; choose another, as in redis://host:6379/0#mine",
    "NOREPLICAS": f"{_WRITTEN}; the server waits for its replicas (min-replicas-to-write)",
    "READONLY": f"{_WRITTEN}; this is a replica: name the server that it follows",
    "MISCONF": f"{_WRITTEN}; the server cannot save to its disk, and its log says why",
    "DB index": "the server has fewer databases; the number stands behind the host, redis://host:6379/0",
    "connecting to": "is Redis running there, and may this machine reach it?",
}
_POSTGRES = {
    "password": "write it into the URL, postgresql://user:password@host/db, or into PGPASSWORD or ~/.pgpass",
    'database ".*" does not exist': "create it first, or name another behind the host, postgresql://host/db",
    'relation ".*" does not exist': "a table of the store is gone or renamed; bring it back, or choose another name, "
    "postgresql://host/db#name",
    "permission denied for schema": "a role that may create tables has to open it first, and `ftnb grant` you the rest",
    "permission denied": "whoever owns the tables gives it: `ftnb grant URL ROLE --may record` (or purge, or read)",
    "No space left": f"{_WRITTEN}; make room on the server's disk",
    "server closed the connection": "is it still running?",
}


def of_sqlite(error: Exception) -> str:
    """What SQLite says, and what to do."""
    return _with_advice(error, _SQLITE)


def of_redis(error: Exception) -> str:
    """What Redis says, and what to do."""
    return _with_advice(error, _REDIS)


def of_postgres(error: Exception) -> str:
    """What PostgreSQL says, without the piece of SQL that it shows, and what to do."""
    return _with_advice(error, _POSTGRES)


def _with_advice(error: Exception, advice: Mapping[str, str]) -> str:
    name = type(error).__name__
    text = " ".join(re.split(r"\nLINE \d", str(error))[0].split()).rstrip(".") or name
    for sign, what in advice.items():
        if re.search(sign, text) or sign == name:
            return f"{text}; {what}"
    return text
