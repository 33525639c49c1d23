"""One Redis and one PostgreSQL server for all tests of stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import ftnb
from tests.servers import postgres_server, redis_server


@pytest.fixture(autouse=True, scope="module")
def no_redaction() -> Iterator[None]:
    """What comes back equal is any value here, also one that a test generator happens to call `password`."""
    ftnb.redact("off")
    yield
    ftnb.redact("defaults")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a real Redis; give each store a prefix of its own."""
    with redis_server() as server:
        yield server.url


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """Connection string of a real PostgreSQL; give each store tables of its own."""
    with postgres_server() as server:
        yield server.dsn
