"""What a callback or the tap leaves on the queue: a plain tuple, the kind first.

Tuples, because they are made on the agent's thread and nothing is cheaper. `perf` is `perf_counter_ns`, the only clock
read there; `run` and `parent` are LangChain's run ids; a value in angle brackets is the pair that `freeze` gives (what
nodes are given and give are two items instead: a pair less that lives until it is written).
`CALL` is for parts above this package: `function(assembler, *arguments)` is called on the writer's thread.

    GRAPH_START   perf run parent name metadata GraphStart
    GRAPH_END     perf run facts
    NODE_START    perf run parent name namespace superstep path triggers input is_late
    CHAIN_START   perf run parent name tags metadata <inputs> scope kind
    CHAIN_END     perf run output is_late writes
    CHAIN_ERROR   perf run error facts
    LLM_START     perf run parent name messages metadata <parameters> scope
    LLM_END       perf run result first_token_perf
    LLM_ERROR     perf run error first_token_perf
    TOOL_START    perf run parent name <arguments> call_id subtype scope
    TOOL_END      perf run <output>
    TOOL_ERROR    perf run error
    CUSTOM        perf run name <data> subtype
    SCOPE_OPEN    perf offset scope
    SCOPE_CLOSE   perf offset scope error
    LOADED        perf run checkpoint_id parent_checkpoint_id is_saved
    CHECKPOINT    run checkpoint_id is_there
    WRITES        run task_id node writes
    CACHED        perf run metadata <input> writes triggers
    EDITED        wall_us thread checkpoint_id <updates>
    STOPPED       perf is_final
    STEP_START    perf step_id place name <input> binder tools
    STEP_END      perf step_id <output> <input> error
    EXTRACTED     perf step_id fields
    DECLARED      perf scope topology
    VERDICT       perf scope place status reason
    CALL          function arguments...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ._identity import ThreadProbe
from ._scope import Labels, Scope

(
    GRAPH_START,
    GRAPH_END,
    NODE_START,
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
    LOADED,
    CHECKPOINT,
    WRITES,
    CACHED,
    EDITED,
    STOPPED,
    STEP_START,
    STEP_END,
    EXTRACTED,
    DECLARED,
    VERDICT,
    CALL,
) = range(27)

Event = tuple[Any, ...]
_PAYLOADS = {
    NODE_START: (9,),
    CHAIN_START: (7,),
    CHAIN_END: (3, 5),
    LLM_START: (5,),
    LLM_END: (3,),
    TOOL_START: (5,),
    TOOL_END: (3,),
    CUSTOM: (4,),
    WRITES: (4,),
    CACHED: (4,),
    STEP_START: (5,),
    STEP_END: (3,),
}
"""Where the large values of an event are."""


def slim(event: Event) -> Event:
    """`event` without its large values: what is kept of it when the store does not keep up."""
    places = _PAYLOADS.get(event[0])
    return event if places is None else tuple([None if i in places else one for i, one in enumerate(event)])


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
    offset_ns: int = 0
    """From `perf` to nanoseconds since 1970."""
    is_tapped: bool = False
    """The tap will tell which checkpoint it loaded."""


class Facts(NamedTuple):
    """What could be seen of a graph's loop as its run ended."""

    status: str
    """LangGraph's word: done, interrupt_before, interrupt_after …"""
    checkpoint_id: str | None
    next: tuple[str, ...] = ()
    """Nodes before which it stopped."""
