"""A PostgreSQL and a Redis server for the trails that are kept on one."""

from __future__ import annotations

from tests.store.conftest import postgres_dsn, redis_url

__all__ = ["postgres_dsn", "redis_url"]
