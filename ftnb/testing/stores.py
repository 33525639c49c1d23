"""The tests that every store must pass, for pytest.

Subclass `StoreTests`, write `make_store`, and, where it can be, `reopen` and `behind`; tests that need one of these are
skipped without it.
"""

from __future__ import annotations

from ._case import Behind
from ._erasing import ErasingTests
from ._live import LiveTests
from ._reading import ReadingTests
from ._writing import WritingTests

__all__ = ["Behind", "StoreTests"]


class StoreTests(WritingTests, ReadingTests, LiveTests, ErasingTests):
    """The whole contract of `ftnb.store.base`, as tests; see this module's text."""
