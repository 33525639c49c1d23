"""Servers for the faults of processes that share one."""

from __future__ import annotations

from tests.store.conftest import postgres_dsn, redis_url

__all__ = ["postgres_dsn", "redis_url"]
