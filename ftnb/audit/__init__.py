"""Proving what was recorded: digests of engagements, Merkle trees over the log, tree heads."""

from __future__ import annotations

from .digest import engagement_digest, verify

__all__ = ["engagement_digest", "verify"]
