"""One engagement as it is looked into: its steps, its states and its code, each read once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import orjson

from ..core.canonical import MARK, Json
from ..core.errors import NotRecordedError, UnknownStepError
from ..langgraph_adapter._code import live_graphs
from ..store.base import LogStore
from ..store.blobs import Resolver
from ._ran import Ran, Story
from ._state import States

_MAX_CODES = 64
_codes: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
"""Code by version: a version is a hash over it, so it is the same in every store."""


class Look:
    """An engagement of a store."""

    def __init__(self, store: LogStore, engagement_id: str) -> None:
        """Raises UnknownEngagementError."""
        self.store = store
        self.story = Story.of(store, engagement_id)

    @cached_property
    def states(self) -> States:
        """The states of its graphs."""
        for step in self.story.steps:
            if step.superstep is None and step.parent_id is not None and (code := self.code_of(step)) is not None:
                step.is_task = self.graph_of(step) is None and any(one["node"] == step.full for one in code["nodes"])
        return States(self.story, self.graph_of, self._reducer)

    def step(self, step_id: str) -> Ran:
        """A step by its id. Raises UnknownStepError."""
        found = self.story.by_id.get(step_id)
        if found is None:
            raise UnknownStepError.of(step_id, (step.name for step in self.story.steps), f"engagement {self.story.id}")
        return found

    def graph_of(self, step: Ran) -> Mapping[str, Any] | None:
        """The recorded description of the graph that a step ran in: its channels and what its nodes read."""
        code = self.code_of(step)
        graphs = () if code is None else code.get("graphs", ())
        return next((one for one in graphs if one["graph"] == step.ns), None)

    def code_of(self, step: Ran) -> Mapping[str, Any] | None:
        """The code that ran when `step` did; None when none is on record."""
        said = self.story.code_of(step)
        if said is None:
            return None
        known = _codes.get(said.version)
        if known is None:
            known = self._resolved(self.story.id, said.text) if said.text is not None else self._elsewhere(said.version)
            if known is None:
                return None
            _codes[said.version] = known
            while len(_codes) > _MAX_CODES:
                _codes.popitem(last=False)
        return known

    def _resolved(self, engagement_id: str, text: Json) -> Mapping[str, Any] | None:
        code = Resolver(lambda blob_id: self.store.blob(engagement_id, blob_id))(text)
        return code if type(code) is dict and isinstance(code.get("nodes"), list) else None

    def _elsewhere(self, version: str) -> Mapping[str, Any] | None:
        """The code of a version whose text is with another engagement."""
        types = ("engagement_started", "engagement_labelled")
        table = self.store.scan(["engagement_id", "body"], types=types, containing=[b'"@code":'])
        rows = zip(table["engagement_id"].to_pylist(), table["body"].to_pylist(), strict=True)
        for engagement_id, data in rows:
            if engagement_id is None or data is None or version.encode() not in data:
                continue
            body = orjson.loads(data)
            if body.get("code") == version and (found := self._resolved(engagement_id, body.get("@code"))) is not None:
                return found
        return None

    def _reducer(self, step: Ran, key: str) -> Callable[[Any, Any], Any] | None:
        """The reducer of a key, from a graph of this process with the code that ran."""
        said = self.story.code_of(step)
        for compiled in () if said is None else live_graphs(said.version):
            graph = _inner(compiled, step.ns)
            found = getattr((getattr(graph, "channels", None) or {}).get(key), "operator", None)
            if found is not None:
                return found  # type: ignore[no-any-return]
        return None

    # --- values ---

    def read(self, step: Ran, value: Json, what: str) -> Any:
        """The value recorded as `value`. Raises NotRecordedError when there is nothing behind it."""
        self.ensure(step, value, what)
        return self.story.values.resolve(value)

    def ensure(self, step: Ran, value: Json, what: str) -> None:
        """Raise NotRecordedError unless `value`, the `what` of a step, can be read."""
        where = f"the {what} of step {step.label()!r} of engagement {self.story.id}"
        if value is None:
            if step.withheld is not None:
                raise NotRecordedError(f"{where} cannot be read: {step.withheld}")
            if step.dropped is not None:
                raise NotRecordedError(f"{where} was not kept ({step.dropped}: the store did not keep up)")
            raise NotRecordedError(
                f"{where} was not captured: it was recorded without values, or they were dropped as the store did not "
                "keep up (.gaps tells). A graph that runs under %load_ext ftnb or ftnb.start(...) has them; with a "
                "Recorder of your own, give start_step(state=…) and end_step(update=…)"
            )
        opened = self.story.values.open(value)
        kind = opened.get(MARK) if isinstance(opened, dict) else None
        if kind == "redacted":
            raise NotRecordedError(f"{where} was masked before it was written, by the rule {opened.get('why')!r}")
        if kind == "withheld":
            raise NotRecordedError(
                f"{where} is withheld: its content was redacted or left out of this export; the original has it"
            )
        if kind == "damaged":
            raise NotRecordedError(f"{where} is damaged and cannot be read")


def _inner(compiled: Any, ns: str) -> Any:
    """The graph inside the nodes that `ns` names; None where there is none."""
    for name in filter(None, ns.split("/")):
        node = (getattr(compiled, "nodes", None) or {}).get(name)
        compiled = next(iter(getattr(node, "subgraphs", None) or ()), None)
    return compiled
