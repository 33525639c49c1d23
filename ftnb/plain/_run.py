"""The block of an engagement, for the code inside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter_ns
from typing import Any

from ..core.errors import FtnbError, InvalidArgumentError
from ..core.freeze import freeze
from ..core.model import EdgeDef, EngagementStatus, NodeDef, Topology
from ..langgraph_adapter import _events as events
from ..langgraph_adapter import _place, _pools
from ..langgraph_adapter._capture import Capture
from ..langgraph_adapter._place import PLACE, Place, Strand
from ..langgraph_adapter._scope import Scope
from ._step import Step, checked_name, checked_tools


class Run:
    """What `with ftnb.record(…) as run:` gives. Every method may be called from any thread."""

    def __init__(self, capture: Capture, scope: Scope) -> None:
        self._capture = capture
        self._scope = scope
        self._strand: Strand | None = None
        """In which the block was begun; None: it was not."""
        self._is_over = False

    def __repr__(self) -> str:
        return f"<ftnb.record {self._scope.labels.name or 'again'!r}: engagement {self.engagement_id}>"

    @property
    def engagement_id(self) -> str:
        """Id of the block's engagement."""
        return self._scope.engagement_id

    def step(self, name: str, *, tools: Sequence[Any] = (), input: Any = None, parent: Step | None = None) -> Step:
        """A step of this engagement: `with run.step("search", tools=["portal"]) as s:`.

        It lies inside the step in which it begins: of this block, or the node of a LangGraph graph. `parent` says so
        where the code cannot tell, as in a thread that was started by hand.
        """
        self._check_open(f"run.step({name!r})")
        if parent is not None and not isinstance(parent, Step):
            raise InvalidArgumentError(f"parent is a step, as `with run.step(…) as s` gives; got {parent!r}")
        if parent is not None and parent.is_new:
            raise InvalidArgumentError(f"parent: the step {parent.name!r} was not begun yet")

        def begin(step: Step) -> tuple[Capture | None, Place | None]:
            target = self._target()
            if target is None:
                return None, None
            place = None if parent is None else parent.branch()
            if parent is None or place is None:
                return target, _place.place_in(self._scope, self._strand)
            if place.scope is not self._scope:
                raise InvalidArgumentError(f"parent: the step {parent.name!r} is of another engagement")
            step.when_left(lambda ended, _: parent.branched(place, ended.id))
            return target, place

        given = None if input is None else freeze(input)
        return Step(checked_name(name), checked_tools(tools), begin, given)

    def topology(
        self,
        edges: Iterable[tuple[str, str]] = (),
        *,
        nodes: Iterable[str] = (),
        entry: Iterable[str] = (),
        finish: Iterable[str] = (),
    ) -> None:
        """Declare the workflow: pairs of step names, and steps that are in no pair.

        Steps inside others are named `outer/inner`. Where nothing is declared, the topology is what was seen to run.
        `entry` and `finish` default to the steps to which no edge leads, and from which none does.
        """
        self._check_open("run.topology(…)")
        declared = _topology(edges, nodes, entry, finish, self._scope)
        self._send(events.DECLARED, perf_counter_ns(), self._scope, declared)

    def pause(self, reason: str | None = None) -> None:
        """The turn ends here, and the engagement waits: for an answer, an approval, the next message.

        The steps around this call end as `waiting`, and so does the engagement. A step that begins later in this
        block begins the next turn; another block goes on with `ftnb.record(continue_=run.engagement_id)`.
        """
        self._judge(EngagementStatus.PAUSED, reason)

    def abandon(self, reason: str | None = None) -> None:
        """The user gave up, or was given up: the engagement ends as abandoned with the block."""
        self._judge(EngagementStatus.ABANDONED, reason)

    def _judge(self, status: EngagementStatus, reason: str | None) -> None:
        self._check_open("run.pause()" if status is EngagementStatus.PAUSED else "run.abandon()")
        place = _place.place_in(self._scope, self._strand)
        self._send(events.VERDICT, perf_counter_ns(), self._scope, place, status, reason)

    def _send(self, *event: Any) -> None:
        target = self._target()
        if target is not None:
            target.send(*event)

    def _target(self) -> Capture | None:
        """Who records; None while recording is off, or when another session has taken its place."""
        if self._is_over:
            self._capture.recorder.drop("late", "a step was begun after the block of its engagement had ended")
            return None
        return self._capture if _place.ambient is self._capture else None

    def _began(self) -> None:
        """The block begins here."""
        _pools.install()
        place = PLACE.get()
        self._strand = Strand() if place is None else place.strand

    def _check_open(self, what: str) -> None:
        if self._strand is None:
            raise FtnbError(f"{what} belongs inside the block: with ftnb.record(…) as run: …")


def _topology(edges: Any, nodes: Any, entry: Any, finish: Any, scope: Scope) -> Topology:
    pairs = [_edge(edge) for edge in edges]
    names = dict.fromkeys([name for pair in pairs for name in pair])
    for said in (nodes, entry, finish):
        if isinstance(said, str):
            raise InvalidArgumentError(f"nodes, entry and finish are lists of step names; got the text {said!r}")
        names.update(dict.fromkeys(checked_name(name) for name in said))
    labels, targets, sources = scope.labels, {target for _, target in pairs}, {source for source, _ in pairs}
    tops = [name for name in names if "/" not in name]
    return Topology(
        nodes=[_node(name, labels.global_nodes, labels.node_tools) for name in names],
        edges=[EdgeDef(source=source, target=target) for source, target in pairs],
        entry=list(entry) or [name for name in tops if name not in targets],
        finish=list(finish) or [name for name in tops if name not in sources],
    )


def _node(name: str, global_nodes: frozenset[str], tools: Mapping[str, list[str]]) -> NodeDef:
    parent = name.rpartition("/")[0] or None
    return NodeDef(name=name, is_global=name in global_nodes, tools=list(tools.get(name, ())), parent=parent)


def _edge(edge: Any) -> tuple[str, str]:
    if isinstance(edge, str) or not isinstance(edge, Sequence) or len(edge) != 2:
        raise InvalidArgumentError(f'edges are pairs of step names, as ("intake", "search"); got {edge!r}')
    return checked_name(edge[0]), checked_name(edge[1])
