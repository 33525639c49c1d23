"""One trace: its spans, and the engagement that they make where none of ours is around them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.ids import new_id
from ..interop import _semconv
from ..interop._semconv import STEPS, Kind, Reading
from ..interop._vendor import in_common_names
from ..langgraph_adapter import _events as events
from ..langgraph_adapter._assembler import Assembler
from ..langgraph_adapter._clock import offset_ns
from ..langgraph_adapter._drive import Resumed
from ..langgraph_adapter._place import Place, Strand
from ..langgraph_adapter._runs import Engaged
from ..langgraph_adapter._scope import Labels, Scope
from ._emit import emit_call, failure_of

_MAX_CONVERSATIONS = 10_000
_MAX_TOPS = 1_000
_MAX_NODES = 20_000
"""Spans remembered of one trace; the oldest that have ended are forgotten first."""


@dataclass(slots=True, eq=False)
class Around:
    """Where things go: a step, or the top of an engagement."""

    key: Any
    """Run id of the step; None: the top."""
    scope: Scope | None
    strand: Strand = field(default_factory=Strand)
    last: str | None = None
    """Id of the step that ended last in it."""
    running: int = 0
    """Steps directly in it that are under way."""
    root: Node | None = None
    """The span that the engagement stands for, where it is one: what that does itself needs a step."""
    own: Around | None = None
    """That step."""
    seen: str | None = None
    """The step of plain code that ended last before it, as far as it was looked at."""
    tasks: dict[str, str] = field(default_factory=dict)
    """The latest step of each node of a workflow, by the node's name."""


@dataclass(slots=True, eq=False)
class Node:
    """One span."""

    key: tuple[int, int]
    parent: Node | None
    name: str
    start_ns: int
    attributes: dict[str, Any]
    kind: Kind | None
    began: Any
    end_ns: int | None = None
    error: BaseException | None = None
    inner: Sequence[Any] = ()
    """What captured SDKs saw of it."""
    is_recorded: bool = False
    """A captured SDK has recorded it."""
    below: list[Reading] = field(default_factory=list)
    """The same call of a model, as spans inside this one tell it."""
    around: Around | None = None
    """Where it lies; None: not taken yet, or nowhere."""
    inside: Around | None = None
    """Where what it does goes."""
    step_id: str | None = None
    strand: Strand | None = None
    opened: Scope | None = None
    """The engagement that was begun for it."""

    @classmethod
    def of(cls, began: Any, parent: Node | None) -> Node:
        """A span that began inside `parent`, if that is known."""
        return cls(
            began.key, parent, began.name, began.start_ns, began.attributes, began.kind, began._replace(attributes={})
        )

    def take(self, span: Any, inner: Sequence[Any]) -> None:
        """It ended."""
        self.attributes = in_common_names(dict(span.attributes or {}))
        self.end_ns = max(span.end_time or self.start_ns, self.start_ns)
        self.name = span.name
        self.inner = inner
        if self.kind is None:
            self.kind = _semconv.kind_of(self.attributes) or "other"
        self.error = failure_of(span)

    def reading(self) -> Reading:
        """It in our words."""
        return _semconv.read(self.name, self.attributes, self.kind)


class Trace:
    """The spans of one trace, in one recorder."""

    def __init__(
        self,
        trace_id: int,
        assembler: Assembler,
        conversations: OrderedDict[str, Engaged],
        tops: OrderedDict[Any, Around],
    ) -> None:
        """`conversations`: engagements by conversation; `tops`: where spans went that began in steps of ours."""
        self._id = trace_id
        self._assembler = assembler
        self._conversations = conversations
        self._tops = tops
        self._offset = offset_ns()
        self._engaged: dict[str, Engaged] = {}
        """Engagements that spans of this trace stand for, by id."""
        self._closed: set[str] = set()
        self.nodes: dict[tuple[int, int], Node] = {}
        self.n_open = 0
        self._undecided: set[tuple[int, int]] = set()
        self._waiting: list[tuple[int, int, bool, Node]] = []
        """(time, number, is its end, span)"""
        self._n = 0
        self._roots: list[Node] = []
        """Spans that are engagements and have ended, while spans inside them are under way."""

    def begin(self, node: Node) -> None:
        """A span began."""
        self.nodes[node.key] = node
        self.n_open += 1
        if len(self.nodes) > _MAX_NODES:
            self._forget()
        if node.kind is None:
            self._undecided.add(node.key)
        self._wait(node.start_ns, False, node)

    def _forget(self) -> None:
        waiting = {one.key for _, _, _, one in self._waiting}
        ended = [key for key, one in self.nodes.items() if one.end_ns is not None and key not in waiting]
        for key in ended[: _MAX_NODES // 2]:
            del self.nodes[key]

    def end(self, node: Node) -> None:
        """A span ended."""
        self.n_open = max(self.n_open - 1, 0)
        self._undecided.discard(node.key)
        self._wait(node.end_ns or node.start_ns, True, node)

    def _wait(self, at: int, is_end: bool, node: Node) -> None:
        self._n += 1
        self._waiting.append((at, self._n, is_end, node))

    def go_on(self, *, is_final: bool = False) -> None:
        """Take what waits, unless one of the spans is still to be decided."""
        if self._undecided and not is_final:
            return
        for node in self.nodes.values() if is_final else ():
            node.kind = node.kind or "other"
        self._undecided.clear()
        waiting, self._waiting = self._waiting, []
        if len(waiting) > 1:
            waiting.sort(key=lambda one: one[:2])
        for _, _, is_end, node in waiting:
            (self._ended if is_end else self._began)(node)
        if self.n_open == 0 or is_final:
            roots, self._roots = self._roots, []
            for root in roots:
                self._close(root)

    # --- spans in the order of time ---

    def _began(self, node: Node) -> None:
        node.around = self._around(node)
        if node.around is not None and node.around.scope is not None and self._is_late(node, node.around.scope):
            node.around = self._go_on_with(node, node.around.scope)
        if node.kind == "other":
            node.inside = node.around
            return
        if node.around is None:
            node.around = self._engage(node)
        node.inside = node.around
        if node.kind in STEPS and node.inside.root is not node and not self._is_wrapper(node):
            node.inside = self._step(node, node.around)

    def _around(self, node: Node) -> Around | None:
        """Where a span lies: in the step of ours in which it began, or where its parent's things go."""
        parent, began = node.parent, node.began
        if parent is not None and (parent.inside is not None or began.step is None):
            if began.step == parent.began.step and began.scope is parent.began.scope:
                return parent.inside
            if began.step is None and began.scope is None:
                return parent.inside
        if began.step is None and began.scope is None:
            return None
        where = began.step if began.scope is None else began.scope.engagement_id
        place, around = began.place, self._tops.get(where)
        if around is None:
            around = self._tops[where] = Around(began.step, began.scope, place.strand, place.last, seen=place.last)
            if len(self._tops) > _MAX_TOPS:
                self._tops.popitem(last=False)
        elif place.last != around.seen:
            around.last = around.seen = place.last
        return around

    def _is_wrapper(self, node: Node) -> bool:
        """Whether it is a chain that only repeats the span which is the engagement."""
        around = node.around
        return (
            node.kind == "chain"
            and around is not None
            and around.root is not None
            and around.root is node.parent
            and around.root.name == node.name
        )

    def _ended(self, node: Node) -> None:
        around = node.around
        if node.kind is None or around is None or node.end_ns is None:
            return
        if node.step_id is not None:
            self._end_step(node, around)
        elif node.kind not in STEPS and node.kind != "other":
            self._call(node, around)
        if node.opened is not None:
            self._roots.append(node)
        node.attributes, node.inner, node.below = {}, (), []  # it may be found again, but holds on to nothing large

    # --- steps ---

    def _step(self, node: Node, around: Around, name: str | None = None) -> Around:
        reading = node.reading()
        node.step_id, strand, last = new_id(), around.strand, around.last
        if node is around.root:
            strand, last = Strand(around.strand), None  # it began with the engagement, whatever has been in it since
        elif reading.node_parent is not None and reading.node_parent in around.tasks:
            last = around.tasks[reading.node_parent]
            strand = Strand(around.strand, last)
        elif around.running:
            strand = Strand(around.strand, last)
        around.running += 1
        node.strand = strand
        place = Place(around.scope, around.key, None, strand, last)
        given = None if reading.input is None else (reading.input, False)
        self._send(
            events.STEP_START, self._perf(node.start_ns), node.step_id, place, name or reading.name, given, None,
            reading.tools,
        )  # fmt: skip
        return Around(node.step_id, around.scope)

    def _end_step(self, node: Node, around: Around) -> None:
        reading = node.reading()
        around.running = max(around.running - 1, 0)
        if node.strand is around.strand:
            around.last = node.step_id
        if reading.node is not None and node.step_id is not None:
            around.tasks[reading.node] = node.step_id
        output = None if reading.output is None else (reading.output, False)
        given = None if reading.input is None else (reading.input, False)
        self._send(events.STEP_END, self._perf(node.end_ns or 0), node.step_id, output, given, node.error)

    def _call(self, node: Node, around: Around) -> None:
        outer = _model_around(node)
        if outer is not None:
            outer.below.append(node.reading())
            return
        if node.began.claimed or node.is_recorded:
            return  # somebody else records it
        emit_call(self, node, self._home(around))

    def _home(self, around: Around) -> Around:
        """The step that takes an event. What the span of an engagement does itself is a step of its name."""
        if around.key is not None or around.root is None:
            return around
        if around.own is None:
            root = around.root
            around.own = self._step(root, around)
        return around.own

    # --- engagements ---

    def _engage(self, node: Node) -> Around:
        """Begin the engagement that a span stands for, or the next turn of its conversation."""
        reading, conversation = node.reading(), _semconv.conversation(node.attributes)
        said = {**_semconv.metadata(node.attributes), "trace_id": f"{self._id:032x}"}
        if node.began.library:
            said["instrumentation"] = node.began.library
        if node.kind not in STEPS:
            said["standalone"] = True
        if node.began.parent is not None and node.parent is None and not node.began.is_remote:
            said["orphan_of"] = f"{node.began.parent[1]:016x}"
        scope = Scope(Labels(reading.name, said))
        known = None if conversation is None else self._conversations.get(conversation)
        if known is not None:
            scope = _next_turn(known, Labels(reading.name, said))
        engaged = self._open(node, scope)
        if conversation is not None:
            self._conversations[conversation] = engaged
            self._conversations.move_to_end(conversation)
            if len(self._conversations) > _MAX_CONVERSATIONS:
                self._conversations.popitem(last=False)
        return Around(None, scope, root=node)

    def _open(self, node: Node, scope: Scope) -> Engaged:
        node.opened = scope
        self._send(events.SCOPE_OPEN, self._perf(node.start_ns), self._offset, scope)
        engaged = self._assembler.turns.engaged_in(scope, node.start_ns // 1000)
        self._engaged[scope.engagement_id] = engaged
        self._closed.discard(scope.engagement_id)
        return engaged

    def _is_late(self, node: Node, scope: Scope) -> bool:
        """Whether a step begins in an engagement of this trace that has ended."""
        return node.kind in STEPS and scope.engagement_id in self._closed

    def _go_on_with(self, node: Node, scope: Scope) -> Around:
        engaged = self._engaged[scope.engagement_id]
        scope = _next_turn(engaged, Labels(engaged.name))
        self._open(node, scope)
        return Around(None, scope)

    def _close(self, root: Node) -> None:
        if root.opened is not None:
            self._closed.add(root.opened.engagement_id)
        self._send(events.SCOPE_CLOSE, self._perf(root.end_ns or 0), self._offset, root.opened, root.error)

    def _perf(self, at_ns: int) -> int:
        return at_ns - self._offset

    def _send(self, *event: Any) -> None:
        self._assembler.take(event)


def _next_turn(engaged: Engaged, labels: Labels) -> Scope:
    """A block that goes on with an engagement."""
    resumed = Resumed.of_engaged(engaged)
    return Scope(labels, engagement_id=engaged.engagement_id, resumed=resumed, after=engaged.stream)


def _model_around(node: Node) -> Node | None:
    """The span of a model's call inside which this is the same call, told by another layer."""
    if node.kind not in ("llm", "embedding"):
        return None
    at = node.parent
    while at is not None and at.kind in ("llm", "embedding", "other"):
        if at.kind != "other":
            return at
        at = at.parent
    return None
