"""A PostgreSQL server for the trails that are kept on one."""

from __future__ import annotations

from tests.store.conftest import postgres_dsn

__all__ = ["postgres_dsn"]
