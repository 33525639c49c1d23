"""For people who write a store: the tests that every store must pass, and strategies that make records.

    from ftnb.testing import StoreTests

    class TestMyStore(StoreTests):
        def make_store(self, place):
            return MyStore(place / "traces")

Needs pytest and Hypothesis, which `ftnb` itself does not.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("ftnb.testing._erasing", "ftnb.testing._live", "ftnb.testing._order")
pytest.register_assert_rewrite("ftnb.testing._reading", "ftnb.testing._writing", "ftnb.testing.machine")

from .machine import StoreMachine  # noqa: E402
from .stores import Behind, StoreTests  # noqa: E402

__all__ = ["Behind", "StoreMachine", "StoreTests"]
