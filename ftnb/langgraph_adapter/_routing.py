"""Which step caused which: what a finished step writes to, and who reads it in the next superstep.

LangGraph names the channels that *may* trigger a node, not those that did, so the causes are worked out: each finished
step writes to its targets (static edges, router results, `Command`s, `Send`s); a node that starts takes what was
written to it in earlier supersteps. What cannot be told is left out rather than guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .topology import END, START

PUSH = "__pregel_push"
TASKS = "__pregel_tasks"
_TO = "branch:to:"
Causes = dict[str, str]
"""Step id to how control came from it, in order."""


@dataclass(slots=True)
class Wiring:
    """The declared ways of one graph, by source. Empty for graphs without a builder."""

    static: dict[str, list[str]] = field(default_factory=dict)
    joins: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    branches: dict[str, dict[str, Mapping[Any, str] | None]] = field(default_factory=dict)
    handlers: dict[str, list[str]] = field(default_factory=dict)
    """Error handler node to the nodes whose errors it handles."""

    @classmethod
    def of(cls, compiled: Any) -> Wiring | None:
        """The wiring of a compiled graph; None when it has none to read."""
        builder = getattr(compiled, "builder", None)
        if builder is None or not hasattr(builder, "waiting_edges"):
            return None
        wiring = cls(joins=sorted((tuple(sources), target) for sources, target in builder.waiting_edges))
        for source, target in sorted(builder.edges):
            if source != START and target != END:
                wiring.static.setdefault(source, []).append(target)
        for source, branches in builder.branches.items():
            wiring.branches[source] = {name: branch.ends for name, branch in branches.items()}
        for name, spec in builder.nodes.items():
            handler = getattr(spec, "error_handler_node", None)
            if handler is not None:
                wiring.handlers.setdefault(handler, []).append(name)
        return wiring


@dataclass(slots=True)
class Source:
    """One step, as a cause of others."""

    step_id: str
    name: str
    path: tuple[Any, ...]
    targets: Causes = field(default_factory=dict)
    """Node name to kind."""
    sends: list[str] = field(default_factory=list)
    routed: set[str] = field(default_factory=set)
    """Branches whose result was seen."""
    maybe: dict[str, str] | None = field(default_factory=dict)
    """Targets of branches whose result was not seen; None: any node."""
    channels: frozenset[str] | None = None
    """Channels that it wrote to; None: not known."""

    def wrote(self, writes: Any) -> None:
        """What it wrote to which channel: this is what leads on, so nothing stays uncertain."""
        self.channels = frozenset(str(write[0]) for write in writes)
        if self.maybe is not None and not self.maybe:
            return
        sends = [write[1] for write in writes if write[0] == TASKS]
        if sends and not self.sends:
            self.sends = [str(one.node) for one in sends if hasattr(one, "node")]
        led = [name.removeprefix(_TO) for name in self.channels if name.startswith(_TO)]
        for target in sorted(led):
            self.targets.setdefault(target, "conditional")
        if led or sends or self.maybe is not None:
            self.maybe = {}

    def goto(self, target: Any) -> None:
        """A `Command` leads to `target`: a node's name, a `Send`, or several of them."""
        for one in target if isinstance(target, (list, tuple)) else [target]:
            if hasattr(one, "node"):
                self.sends.append(str(one.node))
            elif isinstance(one, str) and one != END:
                self.targets[one] = "goto"

    def route(self, branch: str, ends: Mapping[Any, str] | None, result: Any) -> None:
        """A router gave `result`."""
        self.routed.add(branch)
        for one in result if isinstance(result, (list, tuple)) else [result]:
            if hasattr(one, "node") and hasattr(one, "arg"):
                self.sends.append(str(one.node))
                continue
            try:
                target = ends.get(one, one) if ends else one
            except TypeError:  # not hashable, so no label
                continue
            if isinstance(target, str) and target != END:
                self.targets[target] = "conditional"


class Flow:
    """The causes inside one graph run. It outlives a pause: a resume goes on with what was written before."""

    def __init__(self, wiring: Wiring | None) -> None:
        self.wiring = wiring
        self._superstep: int | None = None
        self._fresh: dict[str, Source] = {}
        """Finished in the superstep that runs, by step id: not yet visible to others."""
        self._order: dict[str, int] = {}
        self._pending: dict[str, Causes] = {}
        self._joins: dict[tuple[tuple[str, ...], str], dict[str, str]] = {}
        self._sends: list[tuple[str, str]] = []
        self._maybe: list[Source] = []
        self._failed: dict[str, str] = {}

    def enter(self, superstep: int) -> bool:
        """A node starts in `superstep`; True when it is the first one there, so that earlier writes became visible."""
        if superstep == self._superstep:
            return False
        self._superstep = superstep
        self._publish()
        return True

    def started(self, source: Source) -> None:
        """A step began; its place among the others of its superstep orders causes."""
        self._order[source.step_id] = len(self._order)

    def finished(self, source: Source) -> None:
        """A step ended well: what it wrote becomes visible with the next superstep."""
        wiring = self.wiring
        if wiring is None:
            source.maybe = None
        else:
            for target in wiring.static.get(source.name, ()):
                source.targets.setdefault(target, "static")
            for branch, ends in wiring.branches.get(source.name, {}).items():
                if branch not in source.routed:
                    if ends is None or source.maybe is None:
                        source.maybe = None
                    else:
                        source.maybe.update(dict.fromkeys(ends.values(), "conditional"))
        self._fresh[source.step_id] = source

    def failed(self, source: Source) -> None:
        """A step ended with an error, which a handler may pick up in the same superstep."""
        self._failed[source.name] = source.step_id

    def causes(self, name: str, path: tuple[Any, ...], channels: Any = ()) -> Causes:
        """What caused the step that starts now, and how; `channels` are those that may trigger it."""
        handled = self.wiring.handlers.get(name) if self.wiring else None
        if handled is not None:
            return {self._failed[node]: "error" for node in handled if node in self._failed}
        if path and path[0] == PUSH:
            return self._sender(name, path)
        found = self._pending.pop(name, {})
        if not found:
            for source in self._maybe:
                if source.maybe is None:
                    if self.wiring is None and source.channels is not None and source.channels.isdisjoint(channels):
                        continue
                    found[source.step_id] = "static" if self.wiring is None else "conditional"
                elif name in source.maybe:
                    found[source.step_id] = source.maybe[name]
        return found

    def _sender(self, name: str, path: tuple[Any, ...]) -> Causes:
        place = path[1] if len(path) > 1 else None
        if isinstance(place, int) and place < len(self._sends) and self._sends[place][0] == name:
            return {self._sends[place][1]: "send"}
        return {step_id: "send" for target, step_id in self._sends if target == name}

    def _publish(self) -> None:
        if not self._fresh:
            return
        started = by_path = list(self._fresh.values())
        if len(started) > 1:
            started = sorted(started, key=lambda source: self._order.get(source.step_id, 0))
            # The order in which LangGraph numbers sends: pulled tasks by name, then pushed ones by number.
            by_path = sorted(started, key=lambda source: _path_key(source.path))
        for source in started:
            for target, kind in source.targets.items():
                self._pending.setdefault(target, {})[source.step_id] = kind
            if self.wiring is not None and self.wiring.joins:
                self._join(source, self.wiring.joins)
        self._sends = [(target, source.step_id) for source in by_path for target in source.sends]
        self._maybe = [source for source in started if source.maybe is None or source.maybe]
        self._fresh.clear()
        self._order.clear()
        self._failed.clear()

    def _join(self, source: Source, joins: list[tuple[tuple[str, ...], str]]) -> None:
        for join in joins:
            sources, target = join
            if source.name in sources:
                seen = self._joins.setdefault(join, {})
                seen[source.name] = source.step_id
                if len(seen) == len(set(sources)):
                    self._pending.setdefault(target, {}).update({seen[one]: "join" for one in sources})
                    del self._joins[join]


def _path_key(path: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(f"{part:010d}" if isinstance(part, int) else str(part) for part in path[:2])
