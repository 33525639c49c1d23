"""What a callback leaves on the queue: a plain tuple, the kind first.

Tuples, because they are made on the agent's thread and nothing is cheaper. `perf` is `perf_counter_ns`, `wall` is
microseconds since 1970; `run` and `parent` are LangChain's run ids.

    GRAPH_START   perf wall run parent name GraphStart
    CHAIN_START   perf wall run parent name tags metadata inputs scope kind
    CHAIN_END     perf run outputs facts
    CHAIN_ERROR   perf run error facts
    LLM_START     perf wall run parent name messages metadata parameters scope
    LLM_END       perf run result first_token_perf
    LLM_ERROR     perf run error first_token_perf
    TOOL_START    perf wall run parent name arguments call_id subtype scope
    TOOL_END      perf run output
    TOOL_ERROR    perf run error
    CUSTOM        wall run name data
    SCOPE_OPEN    wall scope
    SCOPE_CLOSE   wall scope error
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ._identity import ThreadProbe
from ._scope import Labels, Scope

(
    GRAPH_START,
    CHAIN_START,
    CHAIN_END,
    CHAIN_ERROR,
    LLM_START,
    LLM_END,
    LLM_ERROR,
    TOOL_START,
    TOOL_END,
    TOOL_ERROR,
    CUSTOM,
    SCOPE_OPEN,
    SCOPE_CLOSE,
) = range(13)

InputKind = Literal["new", "resume", "command"]


@dataclass(slots=True)
class GraphStart:
    """What could be seen of a graph as its run began."""

    compiled: Any = None
    """The Pregel object; None where it could not be found."""
    input_kind: InputKind = "new"
    """`resume` goes on where the loaded checkpoint stopped; `command` begins at the nodes that it names."""
    resume: Any = None
    """The value that answers an interrupt."""
    metadata: dict[str, Any] | None = None
    """The user's own, from the run's config."""
    thread: ThreadProbe | None = None
    scope: Scope | None = None
    labels: Labels | None = None


class Facts(NamedTuple):
    """What could be seen of a graph's loop as its run ended."""

    status: str
    """LangGraph's word: done, interrupt_before, interrupt_after …"""
    checkpoint_id: str | None
