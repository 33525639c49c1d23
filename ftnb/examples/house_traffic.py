"""Weeks of the house-search agent's traffic, made up in seconds: two versions of its graph, thousands of users.

What each user does is drawn from a seed, and written as records straight into a store; nothing is run. Version 2 asks
for all limits at once, ranks with a larger model, and asks for consent before it submits. It has a fault: now and then
it submits without.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from ..core.ids import new_id
from ..core.model import EdgeDef, EngagementStatus, EventKind, NodeDef, StepStatus, Topology
from ..store import build
from ..store.base import LogStore
from ..store.draft import Draft, Stream

FUNNEL = ["greet", "qualify", "search", "rank", "book_viewing", "submitted"]
GOAL_NODES = ["submitted"]
BEGUN_US = 1_772_438_400_000_000
"""2 March 2026, a Monday, in microseconds."""
_DAY_US = 86_400_000_000
_BATCH = 20_000
_V1: dict[str | None, list[str | None]] = {
    None: ["greet"], "greet": ["qualify", None], "qualify": ["qualify", "search", None],
    "search": ["rank"], "rank": ["refine", "book_viewing", None], "refine": ["search"],
    "book_viewing": ["submitted", None], "submitted": [None],
}  # fmt: skip
_V2: dict[str | None, list[str | None]] = {
    **_V1, "book_viewing": ["consent", None], "consent": ["submitted", None], "compare": ["rank"],
    "rank": ["refine", "book_viewing", "compare", None]}  # fmt: skip
_LEAVE = {"v1": {"greet": 0.06, "qualify": 0.2, "rank": 0.24}, "v2": {"greet": 0.06, "qualify": 0.1, "rank": 0.27}}
_MODEL = {"v1": "lodge-small-2", "v2": "lodge-large-2"}
_TOKENS = {"greet": (110, 22), "qualify": (190, 30), "refine": (230, 26), "rank": (420, 240), "book_viewing": (260, 18),
           "consent": (150, 12), "submitted": (300, 14)}  # fmt: skip
_MS = {"greet": 400, "qualify": 700, "search": 1_900, "rank": 2_600, "refine": 600, "book_viewing": 1_200,
       "consent": 500, "submitted": 800}  # fmt: skip


def topology(version: str) -> Topology:
    """The graph that a version declares."""
    declared = _V1 if version == "v1" else _V2
    pairs = [(a, b) for a, targets in declared.items() for b in targets]
    return Topology(
        nodes=[NodeDef(name=name) for name in declared if name is not None],
        edges=[EdgeDef(source=a, target=b, kind="conditional") for a, b in pairs if a is not None and b is not None],
        entry=["greet"],
        finish=[a for a, b in pairs if b is None and a is not None],
    )


def record_traffic(store: LogStore, n: int, *, seed: int = 6) -> None:
    """Write `n` engagements into `store`: the first half of version 1, the rest of version 2, over four weeks.

    Metadata: `user_id`, `version`, `channel`; of those who were asked, `reward`, 1 or 0.
    """
    graphs = {version: topology(version) for version in ("v1", "v2")}
    batch: list[Draft] = []
    for index in range(n):
        version = "v1" if index < n // 2 else "v2"
        dice = random.Random(f"{seed}/{index}")
        batch += _engagement(index, n, version, graphs[version], dice)
        if len(batch) >= _BATCH:
            store.append_drafts(batch)
            batch = []
    if batch:
        store.append_drafts(batch)


def _engagement(index: int, n: int, version: str, graph: Topology, dice: random.Random) -> Iterator[Draft]:
    at = BEGUN_US + 28 * _DAY_US * index // n
    stream = Stream(new_id(), new_id(), turn=1)
    channel = dice.choices(("web", "app", "partner"), weights=(5, 3, 2))[0]
    user = f"u-{dice.randrange(max(n // 3, 1)):05}"
    path = _path(version, channel, dice)
    converted = path[-1] == "submitted"
    metadata: dict[str, str | int] = {"user_id": user, "version": version, "channel": channel}
    if dice.random() < 0.4:
        metadata["reward"] = int(dice.random() < (0.9 if converted else 0.15))
    yield build.engagement_started(stream, at, "house_search", metadata=metadata, topology=graph, goal_nodes=GOAL_NODES)
    before: str | None = None
    for name in path:
        step_id = new_id()
        took = int(_MS[name] * 1_000 * dice.uniform(0.5, 2.0))
        triggers = [] if before is None else [before]
        routes = {} if before is None else {before: "conditional"}
        yield build.step_started(stream, at, step_id, name, triggers=triggers, routes=routes)
        if name in _TOKENS:
            yield _call(stream, at, step_id, name, version, took, dice)
        yield build.step_ended(stream, at + took, step_id, name, StepStatus.COMPLETED, duration_us=took)
        # Reading and answering takes people some seconds, and sometimes minutes.
        at += took + int(dice.expovariate(1 / 9_000_000)) + 200_000
        before = step_id
    status = EngagementStatus.COMPLETED if converted else EngagementStatus.ABANDONED
    yield build.engagement_ended(stream, at, status, dropped_at=None if converted else path[-1])


def _call(stream: Stream, at: int, step_id: str, name: str, version: str, took: int, dice: random.Random) -> Draft:
    model = _MODEL[version] if name == "rank" else "lodge-small-2"
    prompt, completion = (int(count * dice.uniform(0.7, 1.4)) for count in _TOKENS[name])
    tokens = (prompt, completion, prompt + completion, prompt // 2, 0, completion // 3 if name == "rank" else 0)
    return build.event(
        stream, at, step_id, EventKind.LLM_CALL, model, model=model, duration_us=took * 4 // 5, tokens=tokens
    )


def _path(version: str, channel: str, dice: random.Random) -> list[str]:
    restless = 1.8 if channel == "partner" else 1.0
    leave = {name: chance * restless for name, chance in _LEAVE[version].items()}
    path = ["greet"]
    if dice.random() < leave["greet"]:
        return path
    path.append("qualify")
    while version == "v1" and dice.random() < 0.35:
        path.append("qualify")
    if dice.random() < leave["qualify"]:
        return path
    while True:
        path += ["search", "rank"]
        if dice.random() < leave["rank"]:
            return path
        if len(path) > 16 or dice.random() < 0.6:
            break
        path.append("refine")
    path.append("book_viewing")
    if dice.random() < 0.18:
        return path
    if version == "v2" and dice.random() < 0.96:
        path.append("consent")
        if dice.random() < 0.05:
            return path
    return [*path, "submitted"]
