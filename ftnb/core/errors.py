"""Every error that ftnb raises.

    FtnbError
    ├── UnknownEngagementError (KeyError)      no such engagement in this store
    ├── UnknownStepError (KeyError)            no such step in this engagement, graph or log
    ├── UnknownKeyError (KeyError)             no such key in a recorded state
    ├── NotRecordedError (LookupError)         not captured, redacted, or left out of an export
    ├── StoreError (OSError)                   a store cannot be opened, read or written
    │   └── NotOurFileError                    the file is there but is not a trace that ftnb can read
    ├── MissingPackageError (ImportError)      an optional package is not installed
    ├── SchemaVersionError (ValueError)        written by a newer ftnb
    ├── InvalidArgumentError (ValueError)      an argument that cannot be used, with what can
    │   └── WorkflowError                       a workflow whose graph cannot be compiled
    ├── VerificationError (ValueError)         a trace was altered, or its proof is not what it should be
    ├── ReplayError (RuntimeError)              a recorded step or run cannot be run again as asked
    ├── LLMError (RuntimeError)                 a language model, or the client of one, gave no usable answer
    └── ResumeError (RuntimeError)              a conversation cannot be resumed as asked
        └── ThreadBusyError                     another turn of it is running

Messages say what was asked, what exists, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class FtnbError(Exception):
    """The root: `except ftnb.FtnbError` catches whatever this package raises on purpose."""

    def __str__(self) -> str:
        # KeyError would show the message in quotes.
        return str(self.args[0]) if self.args else ""


class UnknownEngagementError(FtnbError, KeyError):
    """No such engagement."""

    @classmethod
    def of(cls, engagement_id: str, known: Sequence[str] = (), where: str = "this store") -> UnknownEngagementError:
        """Build the message; `known` are ids that exist, newest first (a few are enough)."""
        text = f"no engagement {engagement_id!r} in {where}"
        near = get_close_matches(engagement_id, known, n=1, cutoff=0.6)
        if near:
            return cls(f"{text}. Did you mean {near[0]!r}?")
        if known:
            return cls(f"{text}; the newest are {', '.join(known[:3])}. See list_engagements() or engagements().")
        return cls(f"{text}; it holds none yet.")


class UnknownStepError(FtnbError, KeyError):
    """No such step."""

    @classmethod
    def of(cls, name: str, known: Iterable[str], where: str) -> UnknownStepError:
        """Build the message; `known` are the names that exist, in any order."""
        names = sorted(set(known))
        shown = ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
        text = f"no step {name!r} in {where}; steps: {shown or 'none'}"
        near = get_close_matches(name, names, n=1, cutoff=0.5)
        return cls(f"{text}. Did you mean {near[0]!r}?" if near else f"{text}.")


class UnknownKeyError(FtnbError, KeyError):
    """No such key in a recorded state."""

    @classmethod
    def of(cls, key: str, known: Iterable[str], where: str) -> UnknownKeyError:
        """Build the message; `known` are the keys that exist, in any order."""
        names = sorted(set(known))
        shown = ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
        text = f"no key {key!r} in {where}; keys: {shown or 'none'}"
        near = get_close_matches(key, names, n=1, cutoff=0.5)
        return cls(f"{text}. Did you mean {near[0]!r}?" if near else f"{text}.")


class NotRecordedError(FtnbError, LookupError):
    """Something that was asked of the record is not in it: not captured, redacted, or left out of an export."""


class StoreError(FtnbError, OSError):
    """A store cannot be opened, read or written."""


class NotOurFileError(StoreError):
    """The file exists but holds no trace that ftnb can read."""


class SchemaVersionError(FtnbError, ValueError):
    """The trace was written by a newer ftnb than this one."""


class InvalidArgumentError(FtnbError, ValueError):
    """An argument that cannot be used."""


class WorkflowError(InvalidArgumentError):
    """A workflow whose graph cannot be compiled: unknown, missing, doubled or unreachable steps."""


class ReplayError(FtnbError, RuntimeError):
    """A recorded step or run cannot be run again as asked; the message says what is missing, and what to do."""


class VerificationError(FtnbError, ValueError):
    """A trace does not verify: it was altered, parts are missing, or it is signed by another key."""

    def __init__(self, message: str, report: object = None) -> None:
        """`report` is all that the verification found (`ftnb.audit.Report`); None where it could not begin."""
        super().__init__(message)
        self.report = report


class LLMError(FtnbError, RuntimeError):
    """A language model, or the client of one, gave no usable answer."""


class ResumeError(FtnbError, RuntimeError):
    """A conversation cannot be resumed as asked. Nothing was delivered to it, and nothing recorded."""

    def __init__(self, message: str, *, reason: str, thread_id: str) -> None:
        """`reason` is `no_resumable_engagement`, `not_paused` or `awaiting_mismatch`."""
        super().__init__(message)
        self.reason = reason
        self.thread_id = thread_id


class ThreadBusyError(ResumeError):
    """Another turn of the same conversation is running in this process."""


class MissingPackageError(FtnbError, ImportError):
    """An optional package is not installed."""


class PartialTraceWarning(UserWarning):
    """Something that should be in the trace is not; the message says what."""
