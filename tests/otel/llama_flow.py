"""A workflow of LlamaIndex. A module of its own: the names of its spans have the place of the class in them."""

from __future__ import annotations

from llama_index.core.llms import MockLLM
from llama_index.core.workflow import Event, StartEvent, StopEvent, Workflow, step


class Found(Event):
    """What was found."""

    text: str


class Finder(Workflow):
    """Asks a model, and answers."""

    @step
    async def search(self, ev: StartEvent) -> Found:
        """Asks."""
        return Found(text=str(await MockLLM().acomplete("find a flat")))

    @step
    async def answer(self, ev: Found) -> StopEvent:
        """Answers."""
        return StopEvent(result=ev.text)
