"""What `ftnb doctor` says of a server's settings."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from ftnb.core.ids import new_id
from ftnb.store._advice import of_redis
from ftnb.store.postgres import PostgresStore
from ftnb.store.redis import RedisStore


def _told(advice: list[tuple[bool | None, str]], word: str) -> bool | None:
    (found,) = [ok for ok, text in advice if word in text]
    return found


class _Server:
    """A client whose server has these settings."""

    def __init__(self, **settings: str) -> None:
        self._settings = {"appendonly": "no", "save": "", "maxmemory": "0", "maxmemory-policy": "noeviction"}
        self._settings |= {key.replace("_", "-"): value for key, value in settings.items()}

    def config_get(self, name: str) -> dict[str, str]:
        return {name: self._settings[name]} if name in self._settings else {}


def test_a_real_redis_is_asked(redis_url: str) -> None:
    store = RedisStore(redis_url, key_prefix=new_id())
    store._client.config_set("appendfsync", "everysec")
    try:
        advice = store.advice()
    finally:
        store._client.config_set("appendfsync", "no")
    assert _told(advice, "one second") is True
    assert _told(advice, "noeviction") is True
    assert _told(advice, "MAXLEN") is None
    assert _told(store.advice(), "half a minute") is None
    store.close()


@pytest.mark.parametrize(
    ("settings", "word", "ok"),
    [
        ({}, "loses every trace", False),
        ({"save": "3600 1"}, "last snapshot", False),
        ({"appendonly": "yes", "appendfsync": "always"}, "survives a power cut", True),
        ({"appendonly": "yes", "appendfsync": "no"}, "half a minute", None),
        ({"maxmemory": "100", "maxmemory_policy": "allkeys-lru"}, "evicts parts", False),
        ({"maxmemory_policy": "volatile-lru"}, "before you set one", None),
    ],
)
def test_settings_of_redis(settings: dict[str, str], word: str, ok: bool | None) -> None:
    assert _told(of_redis(_Server(**settings), 10), word) is ok


def test_a_redis_that_does_not_tell(redis_url: str) -> None:
    class Rented:
        def config_get(self, name: str) -> Any:
            raise redis.ResponseError("unknown command 'CONFIG'")

    assert _told(of_redis(Rented(), 10), "does not tell") is None


def test_a_real_postgresql_is_asked(postgres_dsn: str) -> None:
    store = PostgresStore(postgres_dsn, table=f"t_{new_id()[-12:]}")
    advice = store.advice()
    assert _told(advice, "fsync is off") is False  # the tests' server
    assert _told(advice, "may erase what it records") is None
    assert _told(advice, "0 partitions") is None
    store.close()
    store = PostgresStore(f"{postgres_dsn} options='-c synchronous_commit=off'", table=f"t_{new_id()[-12:]}")
    assert _told(store.advice(), "last moments") is None
    store.close()
