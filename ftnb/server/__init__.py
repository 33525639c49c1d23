"""The viewer as a web application: one store, live and read only (`pip install 'ftnb[server]'`)."""

from __future__ import annotations

from .app import create_app, serve

__all__ = ["create_app", "serve"]
