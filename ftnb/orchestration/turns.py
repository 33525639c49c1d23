"""What a turn of a conversation gives back, at its end and on the way."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from ..core.model import TokenUsage

EventName = Literal["step_started", "token", "emit", "step_finished", "paused", "completed"]


class WorkflowTurn(BaseModel):
    """How one turn ended. All turns of a conversation are one engagement."""

    engagement_id: str
    thread_id: str
    status: Literal["paused", "completed"]
    """paused: it waits for a reply; completed: the workflow came to its end (whether a goal was reached, the engagement
    tells)."""
    awaiting: str | None = None
    """What the paused step waits for: its `ctx.pause(awaiting=…)`."""
    interrupt: dict[str, Any] | None = None
    """What it gave to show meanwhile: its `ctx.pause(payload=…)`, just as it was; None: nothing, or it has ended."""
    token_usage: TokenUsage = Field(default_factory=TokenUsage)
    """Tokens of the steps of this turn. A step that paused counts in the turn in which it runs again to its end."""

    @property
    def is_paused(self) -> bool:
        """Whether it waits for a reply."""
        return self.status == "paused"


class StreamEvent(BaseModel):
    """Something that happened in the course of a streamed turn.

    `data` holds, by `kind`: step_started and step_finished `{"node"}`; token `{"text"}`; emit what was emitted; paused
    `{"awaiting"}`; completed nothing. Exactly one paused or completed event ends the stream.
    """

    kind: EventName
    data: dict[str, Any] = Field(default_factory=dict)
    turn: WorkflowTurn | None = None
    """The turn, in the last event; None in all others."""
