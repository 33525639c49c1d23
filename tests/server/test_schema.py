"""Whatever is asked of the endpoints, no answer is an error of the server."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error

from ftnb.server import create_app
from ftnb.store.sqlite import SQLiteStore
from tests.server.conftest import record

_STORE = SQLiteStore()
for _n in range(3):
    record(_STORE, f"run {_n}", user=_n, end=_n > 0)
schema = schemathesis.openapi.from_asgi("/api/openapi.json", create_app(_STORE))


@schema.parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_no_request_breaks_the_server(case: schemathesis.Case) -> None:
    case.call_and_validate(checks=[not_a_server_error])
