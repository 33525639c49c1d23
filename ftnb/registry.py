"""Defaults of the process: the model that workflows fall back on, and the recorder of calls outside workflows.

A workflow asks in this order: `run(llm=…)`, `Workflow(llm=…)`, `REGISTER.get_llm_provider()`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from typing import Any

from .core.model import TokenUsage
from .llm import LLMClient, as_client
from .recorder import Recorder

__all__ = ["REGISTER", "Registry"]

STANDALONE = "standalone"
"""Metadata key of engagements that are one call outside any workflow; funnels leave these out unless asked."""
_NEEDED = ("start_engagement", "start_step", "record_llm_call", "end_step", "end_engagement")
_log = logging.getLogger("ftnb")


class Registry:
    """Process-wide defaults. The one instance is `REGISTER`."""

    def __init__(self) -> None:
        self._llm_provider: LLMClient | None = None
        self._recorder: Any = None

    def set_llm_provider(self, client: Any) -> LLMClient:
        """Make `client` the default model of every workflow, and return it (a LangChain chat model: wrapped).

        Raises TypeError when it has no async `acomplete(messages, **overrides)`.
        """
        if not hasattr(client, "acomplete") and callable(getattr(client, "ainvoke", None)):
            client = as_client(client)
        method = getattr(client, "acomplete", None)
        if not callable(method):
            raise TypeError(
                f"{client!r} cannot be the language model: it needs a method `acomplete(messages, **overrides)` "
                "(ftnb.llm.LLMClient), or to be a LangChain chat model"
            )
        if not _is_async(method):
            raise TypeError(
                f"{client!r}.acomplete is not async: make it `async def`, and call a blocking SDK in a thread inside "
                "(`await asyncio.to_thread(…)`)"
            )
        self._llm_provider = client
        return client  # type: ignore[no-any-return]

    def get_llm_provider(self) -> LLMClient | None:
        """The default model; None when none was set."""
        return self._llm_provider

    @property
    def llm_provider(self) -> LLMClient | None:
        """The default model; None when none was set."""
        return self._llm_provider

    def set_recorder(self, recorder: Any) -> Any:
        """Make `recorder` the one that `record_llm_usage` writes to, and return it.

        Raises TypeError when it lacks a method of `ftnb.recorder.Recorder` that is needed.
        """
        missing = [name for name in _NEEDED if not callable(getattr(recorder, name, None))]
        if missing:
            raise TypeError(
                f"{recorder!r} is no recorder: it has no {', '.join(missing)}. Give an ftnb.recorder.Recorder(store)"
            )
        self._recorder = recorder
        return recorder

    def get_recorder(self) -> Any:
        """The recorder; None when none was set."""
        return self._recorder

    def record_llm_usage(
        self,
        model: str,
        *,
        tokens: TokenUsage,
        caller: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        duration_ms: float | None = None,
    ) -> str | None:
        """Record a model call that was made outside any workflow, as an engagement of its own; returns its id.

        Its metadata says `model`, `caller` and `standalone`, so that usage can be grouped. Never raises: None means
        that nothing was recorded, because no recorder is set or it failed.
        """
        recorder: Recorder | None = self._recorder
        if recorder is None:
            return None
        try:
            about = {**(metadata or {}), "model": model, "caller": caller, STANDALONE: True}
            engagement_id = recorder.start_engagement(caller or "llm", metadata=about)
            step_id = recorder.start_step(engagement_id, "completion")
            recorder.record_llm_call(
                step_id,
                model,
                prompt=tokens.prompt,
                completion=tokens.completion,
                total=tokens.total,
                duration_ms=duration_ms,
                model=model,
            )
            recorder.end_step(step_id)
            recorder.end_engagement(engagement_id)
        except Exception as error:
            _log.warning("ftnb: the usage of %s was not recorded: %s: %s", model, type(error).__name__, error)
            return None
        return engagement_id

    def reset(self) -> None:
        """Forget both defaults."""
        self._llm_provider = None
        self._recorder = None


def _is_async(method: Any) -> bool:
    method = inspect.unwrap(method)
    return inspect.iscoroutinefunction(method) or inspect.iscoroutinefunction(type(method).__call__)


REGISTER = Registry()
