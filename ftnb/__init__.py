"""ftnb: record, see, explore and share what happens between a user and an agent, inside a notebook.

Importing this package loads nothing heavy: each public name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ftnb.core._version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ftnb._copying import copy
    from ftnb.analytics import funnel, prices
    from ftnb.audit import Audit
    from ftnb.audit._verify import verify
    from ftnb.core.errors import (
        FtnbError,
        InvalidArgumentError,
        MissingPackageError,
        NotOurFileError,
        NotRecordedError,
        PartialTraceWarning,
        ReplayError,
        SchemaVersionError,
        StoreError,
        UnknownEngagementError,
        UnknownKeyError,
        UnknownStepError,
    )
    from ftnb.core.redact import Redaction, redact
    from ftnb.debug import replay_all, safe
    from ftnb.debug._diff import diff
    from ftnb.live.alerts import alert, alerts
    from ftnb.live.monitor import monitor
    from ftnb.plain import current_step, step
    from ftnb.recorder import Recorder
    from ftnb.sdk import capture, captured, uncapture
    from ftnb.session import engagement, last, record, start, stop
    from ftnb.store.parquet import ParquetStore
    from ftnb.store.sqlite import SQLiteStore
    from ftnb.traces import open, read

__all__ = [
    "Audit",
    "FtnbError",
    "InvalidArgumentError",
    "MissingPackageError",
    "NotOurFileError",
    "NotRecordedError",
    "ParquetStore",
    "PartialTraceWarning",
    "Recorder",
    "Redaction",
    "ReplayError",
    "SQLiteStore",
    "SchemaVersionError",
    "StoreError",
    "UnknownEngagementError",
    "UnknownKeyError",
    "UnknownStepError",
    "__version__",
    "alert",
    "alerts",
    "capture",
    "captured",
    "copy",
    "current_step",
    "diff",
    "engagement",
    "funnel",
    "last",
    "load_ipython_extension",
    "monitor",
    "open",
    "prices",
    "read",
    "record",
    "redact",
    "replay_all",
    "safe",
    "start",
    "step",
    "stop",
    "uncapture",
    "unload_ipython_extension",
    "verify",
]

_HOME = {
    "Audit": "ftnb.audit",
    "FtnbError": "ftnb.core.errors",
    "InvalidArgumentError": "ftnb.core.errors",
    "MissingPackageError": "ftnb.core.errors",
    "NotOurFileError": "ftnb.core.errors",
    "NotRecordedError": "ftnb.core.errors",
    "ParquetStore": "ftnb.store.parquet",
    "PartialTraceWarning": "ftnb.core.errors",
    "Recorder": "ftnb.recorder",
    "Redaction": "ftnb.core.redact",
    "ReplayError": "ftnb.core.errors",
    "SQLiteStore": "ftnb.store.sqlite",
    "SchemaVersionError": "ftnb.core.errors",
    "StoreError": "ftnb.core.errors",
    "UnknownEngagementError": "ftnb.core.errors",
    "UnknownKeyError": "ftnb.core.errors",
    "UnknownStepError": "ftnb.core.errors",
    "alert": "ftnb.live.alerts",
    "alerts": "ftnb.live.alerts",
    "current_step": "ftnb.plain",
    "capture": "ftnb.sdk",
    "captured": "ftnb.sdk",
    "copy": "ftnb._copying",
    "diff": "ftnb.debug._diff",
    "engagement": "ftnb.session",
    "funnel": "ftnb.analytics",
    "last": "ftnb.session",
    "monitor": "ftnb.live.monitor",
    "open": "ftnb.traces",
    "prices": "ftnb.analytics",
    "read": "ftnb.traces",
    "record": "ftnb.session",
    "redact": "ftnb.core.redact",
    "replay_all": "ftnb.debug",
    "safe": "ftnb.debug",
    "start": "ftnb.session",
    "step": "ftnb.plain",
    "stop": "ftnb.session",
    "uncapture": "ftnb.sdk",
    "verify": "ftnb.audit._verify",
}

# Modules that are used by their own names, `ftnb.otel.SpanProcessor()`, without an import of their own.
_MODULES = frozenset({"analytics", "audit", "frames", "interop", "llm", "orchestration", "otel"})


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"ftnb.{name}")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'ftnb' has no attribute {name!r}; public names: {', '.join(__all__)}")
    value = getattr(importlib.import_module(home), name)
    # Kept, so that the next access is a plain attribute; a submodule of the same name cannot take its place later.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What `%load_ext ftnb` calls: start recording every LangGraph run of this kernel."""
    # By name, as the lazy names above: whoever imports this package does not thereby depend on its notebook layer.
    importlib.import_module("ftnb.notebook.extension").load_ipython_extension(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """What `%unload_ext ftnb` calls: stop recording and give back what loading took."""
    importlib.import_module("ftnb.notebook.extension").unload_ipython_extension(shell)
