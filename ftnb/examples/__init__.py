"""Agents that need no network, to try ftnb on: `python -m ftnb.examples.demo` runs one of them 300 times."""

from __future__ import annotations
