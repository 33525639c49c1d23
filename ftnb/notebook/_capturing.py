"""`%ftnb capture` and `%ftnb uncapture`: SDKs whose calls are recorded; unloading the extension gives them back."""

from __future__ import annotations

from IPython.core.error import UsageError

from ..core.errors import FtnbError
from ..sdk import capture, captured, uncapture


class Capturing:
    """What one shell has captured."""

    def __init__(self) -> None:
        self._own: set[str] = set()

    def __call__(self, verb: str, given: str) -> str:
        """Do as the magic's line says, and say what is captured then. Raises UsageError."""
        names = [name.strip("'\"") for name in given.replace(",", " ").split()]
        before = set(captured())
        try:
            if verb == "capture":
                capture(*names)
            else:
                uncapture(*names)
        except FtnbError as error:
            raise UsageError(f"%ftnb {verb}: {error}") from error
        now = set(captured())
        self._own = (self._own | (now - before)) & now
        return f"ftnb: {described() or 'no SDK is captured; %ftnb capture openai anthropic google litellm instructor'}"

    def release(self) -> None:
        """Give back what was captured from here."""
        if self._own:
            uncapture(*self._own)
        self._own = set()


def described() -> str:
    """What is captured, in a few words; empty when nothing is."""
    names = captured()
    return f"calls of models through {', '.join(names)} are recorded" if names else ""
