"""Transitions against a plain reference that walks the steps of each engagement."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ftnb.core.model import Engagement, EngagementStatus, Step
from ftnb.frames import Frames
from ftnb.store import build
from ftnb.store.draft import Stream
from ftnb.store.sqlite import SQLiteStore

Move = tuple[str | None, str | None, str | None, str | None, str]
ids = st.sampled_from(["s0", "s1", "s2", 's"3\\', "lost"])
kinds = st.sampled_from(["conditional", "send", "join", "goto", "resume"])
steps = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["a", "b"]),
            "inner": st.sampled_from([False, False, True]),
            "attempt": st.sampled_from([1, 1, 2]),
            "triggers": st.just([]) | st.lists(ids, max_size=2, unique=True),
            "routes": st.just({}) | st.dictionaries(ids, kinds, max_size=2),
            "new_turn": st.sampled_from([False, False, True]),
        }
    ),
    max_size=6,
)


def reference(engagement: Engagement) -> list[Move]:
    names = {step.id: step.name for step in engagement.steps}
    caused: dict[str, list[tuple[str, str]]] = {}
    for step in engagement.steps:
        causes = [*step.triggers, *(cause for cause in step.routes if cause not in step.triggers)]
        pairs = [(cause, step.routes.get(cause, "static")) for cause in causes]
        kept = [pair for pair in pairs if step.attempt == 1 or pair[1] == "resume"]
        if kept:
            caused[step.id] = kept
    tops = [step for step in engagement.steps if step.parent_step_id is None]
    moves: list[Move] = []
    gone: set[str] = set()

    def add(cause: str | None, step: Step, kind: str) -> None:
        gone.add(cause or "")
        moves.append((cause, step.id, None if cause is None else names.get(cause, "(unknown)"), step.name, kind))

    before_turn = None
    for step in engagement.steps:
        place = tops.index(step) if step in tops else 0
        before = tops[place - 1] if place else None
        new_turn = step in tops and before is not None and before.turn < step.turn
        if new_turn:
            before_turn = before
        if step.id in caused:
            for cause, kind in caused[step.id]:
                add(cause, step, kind)
        elif step in tops:
            follows = before_turn if caused else before
            if follows is None:
                add(None, step, "static")
            elif new_turn or step.attempt == 1:
                add(follows.id, step, "resume" if new_turn or caused else "static")
    if engagement.status not in (EngagementStatus.ACTIVE, EngagementStatus.PAUSED) and tops:
        last_turn = max(step.turn for step in tops)
        ends = [
            visit[-1]
            for visit in visits_of([step for step in tops if step.turn == last_turn])
            if not any(step.id in gone for step in visit)
        ]
        ends.sort(key=tops.index)
        moves += [(step.id, None, step.name, None, "static") for step in ends]
    return moves


def visits_of(tops: list[Step]) -> list[list[Step]]:
    """Attempts by visit: each belongs to the first attempt before it, of the same visit if that is known."""
    visits: list[list[Step]] = []
    for step in tops:
        same = [visit for visit in visits if visit[0].name == step.name]
        own = [visit for visit in same if visit[0].attempt <= 1 and any(s.visit == step.visit for s in visit)]
        begun = [visit for visit in same if visit[0].attempt <= 1]
        if step.attempt > 1 and same:
            (own or begun or same)[-1].append(step)
        else:
            visits.append([step])
    return visits


@given(cases=st.lists(steps, max_size=3), ended=st.booleans())
def test_transitions_equal_the_plain_reference(cases: list[list[dict[str, Any]]], ended: bool) -> None:
    store = SQLiteStore()
    for number, case in enumerate(cases):
        turn, stream = 1, Stream(f"{number}-1", f"e{number}", turn=1)
        drafts = [build.engagement_started(stream, 0, "w")]
        for place, step in enumerate(case):
            if step["new_turn"]:
                turn += 1
                stream = Stream(f"{number}-{turn}", f"e{number}", turn=turn)
            drafts.append(
                build.step_started(
                    stream,
                    place,
                    ["s0", "s1", "s2", 's"3\\', "s4", "s5"][place],
                    step["name"],
                    parent_step_id="s0" if step["inner"] else None,
                    attempt=step["attempt"],
                    triggers=step["triggers"],
                    routes=step["routes"],
                )
            )
        if ended:
            drafts.append(build.engagement_ended(stream, 99, EngagementStatus.COMPLETED))
        store.append_drafts(drafts)
    frame = Frames(store).transitions
    for number in range(len(cases)):
        engagement = store.get_engagement(f"e{number}")
        rows = frame.filter(engagement_id=engagement.id).select(
            "from_step_id", "to_step_id", "from_name", "to_name", "kind"
        )
        assert list(rows.iter_rows()) == reference(engagement)
    store.close()
