"""What the user said about the runs to come: names, goals, and which engagement they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from ..core.ids import new_id
from ..core.model import Topology
from ..store.draft import Stream
from ._drive import Drive, Resumed


@dataclass(frozen=True, slots=True)
class Labels:
    """What an engagement is called and judged by. None and empty: not said."""

    name: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    goal_nodes: frozenset[str] = frozenset()
    global_nodes: frozenset[str] = frozenset()
    node_tools: Mapping[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        goal_nodes: Iterable[str] = (),
        global_nodes: Iterable[str] = (),
        node_tools: Mapping[str, Sequence[str]] | None = None,
    ) -> Labels:
        """Labels from what callers pass; a single name is taken as a set of one."""
        tools = {node: list(names) for node, names in (node_tools or {}).items()}
        return cls(name, dict(metadata or {}), _names(goal_nodes), _names(global_nodes), tools)

    def over(self, base: Labels | None) -> Labels:
        """These labels, with those of `base` where nothing was said."""
        if base is None:
            return self
        return Labels(
            self.name or base.name,
            {**base.metadata, **self.metadata},
            self.goal_nodes or base.goal_nodes,
            self.global_nodes or base.global_nodes,
            {**base.node_tools, **self.node_tools},
        )


def _names(given: Iterable[str]) -> frozenset[str]:
    return frozenset([given] if isinstance(given, str) else given)


@dataclass(slots=True, eq=False)
class Scope:
    """One engagement that was begun on purpose: root runs inside it are its turns."""

    labels: Labels
    topology: Topology | None = None
    """Known before the first run; None: read from the graphs that run."""
    engagement_id: str = field(default_factory=new_id)
    drive: Drive | None = None
    """Set where somebody else than its root run says how the engagement ends."""
    resumed: Resumed | None = None
    """The engagement that goes on in this block; None: a new one begins, or `drive` tells."""
    after: Stream | None = None
    """The stream of its turn before, where this process has it."""
    parent_id: str | None = None
    """The engagement that this one branches off."""
    visits: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By namespace and node: how often nodes had run where it branched off, so that visits count on."""


@dataclass(frozen=True, slots=True)
class Alone:
    """Stands in the place of a scope for a call of a model that gets an engagement of its own where it has no step."""

    labels: Labels = field(default_factory=Labels)


SCOPE: ContextVar[Scope | None] = ContextVar("ftnb_scope", default=None)
"""The scope of the code that runs now."""

cell_labels: Labels | None = None
"""Labels of the notebook cell that runs: process-wide, for a cell's threads and tasks are its own too."""
