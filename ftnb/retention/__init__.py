"""How long engagements are kept: windows, legal holds, a plan to look at first, and receipts of what was purged."""

from __future__ import annotations

from ._apply import Receipts
from ._plan import Plan, Window
from ._policy import RetentionPolicy, RetentionWarning, purge_before
from ._retention import Retention

__all__ = ["Plan", "Receipts", "Retention", "RetentionPolicy", "RetentionWarning", "Window", "purge_before"]
