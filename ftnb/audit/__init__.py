"""Proving what was recorded: digests of engagements, Merkle trees over the log, tree heads."""

from __future__ import annotations

from ._anchor import verify_timestamp
from ._evidence import export_parquet
from ._keys import Audit
from ._proof import Consistency, Proof
from ._report import Finding, Report
from ._trail import Head, Trail
from .digest import engagement_digest, verify

__all__ = [
    "Audit",
    "Consistency",
    "Finding",
    "Head",
    "Proof",
    "Report",
    "Trail",
    "engagement_digest",
    "export_parquet",
    "verify",
    "verify_timestamp",
]
