"""Engagements to draw, built by hand: every id and time in them is fixed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from ftnb.core.model import (
    EdgeDef,
    Engagement,
    EngagementStatus,
    EventKind,
    Extraction,
    Gap,
    IntentSwitch,
    NodeDef,
    Step,
    StepEvent,
    StepStatus,
    TokenUsage,
    Topology,
)

T0 = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


def at(ms: float) -> datetime:
    """The moment `ms` after the start."""
    return T0 + timedelta(milliseconds=ms)


class Script:
    """Writes an engagement step by step; ids are s0, s1 … and e0, e1 …"""

    def __init__(self, name: str, topology: Topology, **fields: Any) -> None:
        self.engagement = Engagement(id=f"eng-{name}", name=name, started_at=T0, topology=topology, **fields)
        self._events = 0

    def step(
        self,
        name: str,
        start: float,
        duration: float | None,
        *,
        after: tuple[str, ...] = (),
        kind: str = "static",
        **fields: Any,
    ) -> Step:
        """Add a step; `after` are ids of its causes. `duration` None: still running."""
        steps = self.engagement.steps
        status = fields.pop("status", StepStatus.RUNNING if duration is None else StepStatus.COMPLETED)
        fields.setdefault("visit", 1 + sum(step.name == name for step in steps))
        step = Step(
            id=f"s{len(steps)}", engagement_id=self.engagement.id, name=name, status=status, started_at=at(start),
            ended_at=None if duration is None else at(start + duration), duration_ms=duration, triggers=list(after),
            routes=dict.fromkeys(after, kind), **fields,
        )  # fmt: skip
        steps.append(step)
        return step

    def event(
        self, step: Step, kind: EventKind, name: str, start: float, duration: float | None, **fields: Any
    ) -> None:
        """Add an event to `step`."""
        event = StepEvent(
            id=f"e{self._events}", step_id=step.id, kind=kind, name=name, ts=at(start), duration_ms=duration, **fields
        )
        self._events += 1
        step.events.append(event)

    def llm(self, step: Step, start: float, duration: float, tokens: tuple[int, int], **payload: Any) -> None:
        """Add an LLM call."""
        self.event(
            step, EventKind.LLM_CALL, "chat", start, duration,
            tokens=TokenUsage(prompt=tokens[0], completion=tokens[1]), model="house-1", ttft_ms=duration / 4,
            payload=payload,
        )  # fmt: skip

    def tool(self, step: Step, name: str, start: float, duration: float, **fields: Any) -> None:
        """Add a tool call."""
        self.event(step, EventKind.TOOL_CALL, name, start, duration, **fields)


def _nodes(*names: str, globals_: tuple[str, ...] = ()) -> list[NodeDef]:
    return [NodeDef(name=name, is_global=name in globals_) for name in names]


def _edges(*pairs: str) -> list[EdgeDef]:
    """`a>b` is a static edge, `a?b` a conditional one."""
    edges = []
    for pair in pairs:
        mark = "?" if "?" in pair else ">"
        source, _, target = pair.partition(mark)
        conditional = mark == "?"
        edges.append(
            EdgeDef(source=source, target=target, condition=target if conditional else None,
                    kind="conditional" if conditional else "static")
        )  # fmt: skip
    return edges


HOUSE = Topology(
    nodes=_nodes(
        "greet", "qualify", "search_city", "search_coast", "rank", "refine", "present", "escalate", "submitted",
        globals_=("escalate",),
    ),
    edges=_edges(
        "greet>qualify", "qualify?search_city", "qualify?search_coast", "search_city>rank", "search_coast>rank",
        "rank?refine", "rank?present", "refine?search_city", "refine?search_coast", "present?submitted",
        "present?refine", "escalate?submitted",
    ),
    entry=["greet"],
    finish=["submitted"],
)  # fmt: skip

CHAT = [
    {"role": "system", "content": "You help people to find a house."},
    {"role": "user", "content": "Hello! I look for a house with a garden, near the sea if it is affordable."},
    {"role": "assistant", "content": "Of course. How many rooms do you need, and what is your budget?"},
    {"role": "user", "content": "Three rooms, at most 450,000."},
]


def house(*, fail: bool = False) -> Engagement:
    """Two parallel searches, a loop that refines twice, and a goal; or a failure in the second round."""
    run = Script("house_search", HOUSE, goal_nodes=["submitted"], metadata={"user_id": "u-42", "channel": "web"})
    greet = run.step("greet", 0, 240, state_ref={"messages": CHAT[:2]}, update_ref={"messages": CHAT[2:3]})
    run.llm(greet, 20, 200, (48, 22), messages=CHAT[:2], text=CHAT[2]["content"])
    qualify = run.step("qualify", 245, 410, after=("s0",), state_ref={"messages": CHAT}, update_ref={"rooms": 3})
    run.llm(qualify, 260, 330, (120, 40), messages=CHAT)
    qualify.extraction = Extraction(
        schema_name="Wish", values={"rooms": 3, "budget": 450_000, "garden": True}, confidence=0.93
    )
    run.event(qualify, EventKind.EXTRACTION, "Wish", 600, 30, payload=dict(qualify.extraction.values))
    start, before = 660.0, ("s1",)
    rounds = 2 if fail else 3
    for number in range(1, rounds + 1):
        city = run.step("search_city", start, 520, after=before, kind="send", state_ref={"round": number})
        run.tool(
            city, "listings", start + 30, 450, payload={"args": {"area": "city"}, "result": [{"id": 1}, {"id": 2}]}
        )
        coast = run.step(
            "search_coast", start + 4, 760, after=before, kind="send", state_ref={"round": number},
        )  # fmt: skip
        run.tool(coast, "listings", start + 40, 690, payload={"args": {"area": "coast"}, "result": []})
        rank = run.step("rank", start + 770, 180, after=(city.id, coast.id), kind="join")
        run.llm(rank, start + 780, 160, (310, 64), text="Two fit well.")
        if number < rounds:
            refine = run.step("refine", start + 955, 150, after=(rank.id,), kind="conditional")
            run.event(refine, EventKind.LOG, "widened the area", start + 970, None, payload={"km": 10 * number})
            start, before = start + 1110, (refine.id,)
    if fail:
        present = run.step(
            "present", start + 955, 310, after=(rank.id,), kind="conditional", status=StepStatus.FAILED,
            error="listing 2 has no price", error_type="KeyError", state_ref={"messages": CHAT, "ranked": [2, 1]},
        )  # fmt: skip
        run.llm(present, start + 960, 150, (420, 90), text="Here are two houses.")
        run.tool(
            present, "price", start + 1150, 80, error="listing 2 has no price", error_type="KeyError",
            payload={"args": {"listing": 2}},
        )  # fmt: skip
        return _end(run, EngagementStatus.FAILED, error="KeyError: listing 2 has no price", dropped_at="present")
    present = run.step("present", start + 955, 420, after=(rank.id,), kind="conditional")
    run.llm(present, start + 965, 390, (512, 130), messages=CHAT, text="Here are two houses that fit.")
    done = run.step("submitted", start + 1380, 60, after=(present.id,), kind="conditional")
    run.tool(done, "book_viewing", start + 1385, 40, payload={"args": {"listing": 2}, "result": "ok"})
    return _end(run, EngagementStatus.COMPLETED)


def _end(run: Script, status: EngagementStatus, **fields: Any) -> Engagement:
    ends = [step.ended_at for step in run.engagement.steps if step.ended_at]
    return run.engagement.model_copy(update={"status": status, "ended_at": max(ends, default=T0), **fields})


def empty() -> Engagement:
    """No steps yet."""
    return Script("empty", HOUSE).engagement


def running() -> Engagement:
    """The coast search has not come back yet."""
    whole = house()
    steps = [step.model_copy(deep=True) for step in whole.steps[:4]]
    steps[3].status, steps[3].ended_at, steps[3].duration_ms = StepStatus.RUNNING, None, None
    return whole.model_copy(update={"status": EngagementStatus.ACTIVE, "ended_at": None, "steps": steps})


def paused() -> Engagement:
    """A first turn, two hours of thinking, and a second turn that waits again; an intent switch between."""
    run = Script("approval", HOUSE, n_turns=2)
    greet = run.step("greet", 0, 300)
    run.llm(greet, 10, 280, (50, 20))
    run.step("qualify", 305, 120, after=("s0",), status=StepStatus.WAITING)
    later = 7_200_000.0
    again = run.step("qualify", later, 600, after=("s1",), kind="resume", visit=1, attempt=2, turn=2)
    run.llm(again, later + 20, 500, (150, 60))
    escalate = run.step(
        "escalate", later + 610, 350, after=("s2",), kind="goto", turn=2, is_global=True, status=StepStatus.WAITING
    )
    run.event(escalate, EventKind.LOG, "asked a human", later + 650, None)
    run.engagement.intent_switches.append(
        IntentSwitch(id="i0", from_step="qualify", to_step="escalate", reason="asks for a person", ts=at(later + 610))
    )
    return _end(run, EngagementStatus.PAUSED)


def long(n: int = 60) -> Engagement:
    """An agent that calls its tools again and again: n steps over three nodes."""
    topology = Topology(
        nodes=_nodes("agent", "tools", "summarise"), edges=_edges("agent?tools", "tools>agent", "agent?summarise"),
        entry=["agent"], finish=["summarise"],
    )  # fmt: skip
    run = Script("long_chat", topology)
    clock, before = 0.0, ()
    for number in range(n - 1):
        name = "agent" if number % 2 == 0 else "tools"
        duration = 180.0 + (number * 37) % 240
        step = run.step(name, clock, duration, after=before, kind="conditional" if name == "tools" else "static")
        if name == "agent":
            run.llm(step, clock + 5, duration - 10, (200 + 40 * number, 30))
        else:
            error = "timed out" if number % 17 == 0 else None
            run.tool(step, f"lookup_{number % 5}", clock + 5, duration - 20, error=error)
        clock, before = clock + duration + 4, (step.id,)
    run.step("summarise", clock, 400, after=before, kind="conditional")
    return _end(run, EngagementStatus.COMPLETED)


def nested() -> Engagement:
    """A subgraph, an undeclared node, and a gap in the trace."""
    topology = Topology(
        nodes=[
            *_nodes("plan", "research", "write"),
            NodeDef(name="research/find", parent="research"), NodeDef(name="research/read", parent="research"),
        ],
        edges=_edges("plan>research", "research>write", "research/find>research/read", "research/read?research/find"),
        entry=["plan"], finish=["write"],
    )  # fmt: skip
    run = Script("report", topology)
    run.step("plan", 0, 100)
    outer = run.step("research", 105, 900, after=("s0",))
    find = run.step("find", 110, 300, ns="research", parent_step_id=outer.id)
    read = run.step("read", 415, 250, ns="research", parent_step_id=outer.id, after=(find.id,))
    run.step("find", 670, 100, ns="research", parent_step_id=outer.id, after=(read.id,), kind="conditional")
    run.step("fact_check", 1010, 200, after=(outer.id,), kind="goto")
    run.step("write", 1215, 400, after=("s5",), kind="goto")
    run.engagement.gaps.append(Gap(reason="queue_full", count=3, detail="payloads over 64 MB"))
    return _end(run, EngagementStatus.COMPLETED)


HOSTILE = "<script>window.__pwned = 1</script><img src=x onerror='window.__pwned=1'>"


def hostile() -> Engagement:
    """Names and payloads that would run, or break lookups, if they were trusted."""
    names = ("__proto__", "constructor", HOSTILE, "</style><script>window.__pwned=1</script>", "toString")
    topology = Topology(
        nodes=_nodes(*names), edges=[EdgeDef(source=a, target=b, condition=HOSTILE) for a, b in pairwise(names)],
        entry=[names[0]], finish=[names[-1]],
    )  # fmt: skip
    run = Script("hostile", topology, metadata={"__proto__": HOSTILE, "note": "</script><b>x</b>"})
    run.engagement.name = HOSTILE
    before: tuple[str, ...] = ()
    for number, name in enumerate(names):
        step = run.step(name, number * 100, 90, after=before, error=HOSTILE, status=StepStatus.FAILED)
        messages = [{"role": "user", "content": HOSTILE}]
        step.state_ref = {"__proto__": {"polluted": True}, "html": HOSTILE, "messages": messages}
        payload = {"constructor": HOSTILE, "url": "javascript:alert(1)"}
        run.tool(step, HOSTILE, number * 100 + 5, 10, error=HOSTILE, payload=payload)
        before = (step.id,)
    run.engagement.intent_switches.append(IntentSwitch(id="i0", to_step=HOSTILE, reason=HOSTILE, ts=at(200)))
    run.engagement.gaps.append(Gap(reason=HOSTILE, count=1, detail=HOSTILE))
    return _end(run, EngagementStatus.FAILED, error=HOSTILE)


ALL = {
    "house": house, "failed": lambda: house(fail=True), "empty": empty, "running": running, "paused": paused,
    "long": long, "nested": nested, "hostile": hostile,
}  # fmt: skip
