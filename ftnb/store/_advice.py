"""What the settings of a server mean for what is recorded there: for `ftnb doctor`.

Each piece of advice is (whether it is as it should be; None: it is as it may be, what to know).
"""

from __future__ import annotations

from typing import Any

Advice = tuple[bool | None, str]

_FSYNC = {
    "always": (True, "appendfsync always: what was committed survives a power cut"),
    "everysec": (True, "appendfsync everysec: a power cut loses up to one second of committed records"),
    "no": (None, "appendfsync no: a power cut loses what the system had not written yet, up to half a minute"),
}


def of_redis(client: Any, tail_length: int) -> list[Advice]:
    """What a Redis server keeps. A server that refuses CONFIG, as rented ones do, is not known."""
    try:
        asked = ("appendonly", "appendfsync", "save", "maxmemory", "maxmemory-policy")
        said = {key: _text(value) for name in asked for key, value in client.config_get(name).items()}
        said = {_text(key): value for key, value in said.items()}
    except Exception as error:
        advice: list[Advice] = [(None, f"the server does not tell how durable it is ({error}); ask whoever runs it")]
    else:
        advice = [_durability(said), _eviction(said)]
    kept = f"MAXLEN: only the stream that wakes subscribers is trimmed, to about {tail_length:,} batches; whoever is"
    return [*advice, (None, f"{kept} further behind reads the engagements' own streams, which never are")]


def _durability(said: dict[str, str]) -> Advice:
    if said.get("appendonly") == "yes":
        return _FSYNC.get(said.get("appendfsync", ""), (None, f"appendfsync {said.get('appendfsync')}"))
    advice = "set `appendonly yes` (CONFIG SET appendonly yes, then CONFIG REWRITE)"
    if said.get("save"):
        return False, f"no append-only file: a restart loses what came after the last snapshot; {advice}"
    return False, f"nothing is written to disk: a restart of the server loses every trace; {advice}"


def _eviction(said: dict[str, str]) -> Advice:
    policy = said.get("maxmemory-policy", "noeviction")
    if policy == "noeviction":
        return True, "maxmemory-policy noeviction: a full server refuses records, and evicts none"
    if said.get("maxmemory", "0") == "0":
        return None, f"maxmemory-policy {policy}, without a maxmemory: set `noeviction` before you set one"
    return False, f"maxmemory-policy {policy}: a full server evicts parts of traces; set `noeviction`"


def of_postgres(connection: Any, table: str) -> list[Advice]:
    """What a PostgreSQL server keeps, and what the present role may do."""
    synchronous, fsync, erase, record = connection.execute(
        """SELECT current_setting('synchronous_commit'), current_setting('fsync'),
            has_table_privilege(%s, 'DELETE'), has_table_privilege(%s, 'INSERT')""",
        (f"{table}_log",) * 2,
    ).fetchone()
    advice: list[Advice] = []
    if fsync != "on":
        advice.append((False, "fsync is off: a crash of the machine may destroy the database"))
    if synchronous == "off":
        advice.append((None, "synchronous_commit off: a crash loses what was committed in the last moments"))
    elif fsync == "on":
        advice.append((True, f"synchronous_commit {synchronous}: what was committed survives a power cut"))
    if erase and record:
        advice.append((None, "this role may erase what it records; `ftnb grant` makes one that cannot"))
    else:
        may = "erase and not record" if erase else "record and not erase" if record else "read only"
        advice.append((True, f"this role may {may}"))
    count = f"SELECT count(*) FROM pg_inherits WHERE inhparent = '{table}_log'::regclass"
    days = f"SELECT period_us / 86400000000 FROM {table}_meta"
    n, every = connection.execute(f"SELECT ({count}), ({days})").fetchone()
    return [*advice, (None, f"{n} {'partition' if n == 1 else 'partitions'}, one for each {every} days")]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
