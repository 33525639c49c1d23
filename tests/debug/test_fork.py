"""Going on from every recorded step of every kind of graph."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from typing import Any, TypedDict

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START
from langgraph.types import Command, interrupt

import ftnb
from ftnb.core.errors import InvalidArgumentError, ReplayError
from ftnb.debug._recorded import Recorded, Task, load
from ftnb.langgraph_adapter import _live
from ftnb.store.sqlite import SQLiteStore
from ftnb.traces import EngagementHandle
from tests.capture.models import parrot
from tests.debug import graphs
from tests.debug.graphs import BY_NAME, CASES, HELLO, Case, ran, said

ROUTERS = {"pick": "a", "again": "count", "deal": "a", "after": "think", "route": "fetch"}
Key = tuple[str, str, int]


def recorded(case: Case) -> tuple[Any, EngagementHandle, list[Any]]:
    """Run a case; its graph, its engagement, and what each run returned."""
    graph, outputs = case.build(), []
    for given in case.inputs:
        outputs.append(Case(case.name, case.build, [given], case.is_async).run(graph))
    return graph, ftnb.last(), outputs


def chain_of(record: Recorded, task: Task) -> list[Task]:
    chain = [task]
    while chain[0].parent_id is not None:
        chain.insert(0, record.task(chain[0].parent_id))
    return chain


def expected_steps(record: Recorded, task: Task, last_turn: int) -> set[Key]:
    """The steps that run when the graph goes on from `task`, as the record tells them."""
    done: set[str] = set()
    *outers, last = chain_of(record, task)
    for one in (*outers, last):
        for other in record.tasks:
            if not same_parent(record, other, one) or other.key == one.key:
                continue
            same = number_of_run(record, other) == number_of_run(record, one)
            beside = one is last and same and other.superstep == one.superstep and not other.is_called
            new = one.parent_id is None and other.turn < one.turn and one.attempt == 1  # an earlier conversation turn
            if other.end is not None and other.end < task.place and other.status == "completed" and (new or not beside):
                done.add(other.step_id)
    for other in record.tasks:  # what lies inside them
        if other.parent_id in done:
            done.add(other.step_id)
    first = min(other.turn for other in record.tasks if other.key == task.key)
    left = [one for one in record.tasks if one.step_id not in done and first <= one.turn <= last_turn]
    return {one.key for one in left if one.status == "completed"}


def same_parent(record: Recorded, one: Task, other: Task) -> bool:
    if one.parent_id is None or other.parent_id is None:
        return one.parent_id is other.parent_id
    return record.task(one.parent_id).key == record.task(other.parent_id).key


def number_of_run(record: Recorded, task: Task) -> int:
    """Which graph run inside its parent a task belongs to; at the top all are one."""
    before = [one for one in record.tasks if same_parent(record, one, task) and one.place <= task.place]
    return 0 if task.parent_id is None else sum(one.entry is not None for one in before)


def last_turn_of(record: Recorded, task: Task) -> int:
    """The turn in which what `task` belongs to came to its end."""
    turn = task.turn
    while any(one.turn == turn and one.status == "waiting" for one in record.tasks):
        turn += 1
    return turn


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_step_of_every_graph_can_be_forked_at(store: SQLiteStore, case: Case) -> None:
    graph, engagement, outputs = recorded(case)
    record = load(store, engagement.id)
    before = dict(vars(graph))
    for task in record.tasks:
        ran.clear()
        branch = engagement.fork(engagement.step(task.step_id), graph=graph)
        counted = Counter(ran)
        made = load(store, branch.id)
        last = last_turn_of(record, task)
        # The next tasks, and all that follow, are those of the original …
        assert {one.key for one in made.tasks if one.status == "completed"} == expected_steps(record, task, last), task
        # … nothing else ran, neither nodes nor routers …
        for name, n_runs in counted.items():
            node = ROUTERS.get(name, name)
            steps = [one for one in made.tasks if one.name == node]
            assert n_runs == sum(name == node or one.status == "completed" for one in steps), (task, name)
        # … and the graph ends in the same state.
        assert said(final_state(branch, made)) == said(final_of(record, last)), task
        assert branch.status == "completed"
        assert branch.parent_id == engagement.id
        assert branch.metadata["ftnb_branch_at"]["step_id"] == task.step_id
    assert dict(vars(graph)) == before
    assert all(vars(graph)[name] is value for name, value in before.items())
    assert len(outputs) == len(case.inputs)


def final_of(record: Recorded, turn: int) -> Any:
    return [plain(record, one) for one in record.tasks if one.turn == turn and one.parent_id is None][-1:]


def final_state(branch: EngagementHandle, made: Recorded) -> Any:
    assert branch.status == "completed"
    return [plain(made, one) for one in made.tasks if one.parent_id is None][-1:]


def plain(record: Recorded, task: Task) -> Any:
    """What the last step saw and returned, without ids of messages."""
    from ftnb.debug._compare import plain as bytes_of

    return task.key, bytes_of(record.value(task.state)), bytes_of(record.value(task.update))


@pytest.mark.parametrize("case", [case for case in CASES if not case.is_async], ids=lambda case: case.name)
def test_the_output_is_that_of_the_graph(store: SQLiteStore, case: Case) -> None:
    """The whole state that the forked graph returns, for the first step of the last turn that began anew."""
    from ftnb.debug._fork import Forking

    graph, engagement, outputs = recorded(case)
    record = load(store, engagement.id)
    turn = max(one.turn for one in record.tasks)
    forking = Forking(store, engagement.id, next(o.step_id for o in record.tasks if o.turn == turn), graph=graph)
    with forking.start():
        forking.run.go()
    assert said(forking.run.output) == said(outputs[-1])


def test_an_edited_state_is_what_all_that_follows_sees(store: SQLiteStore) -> None:
    _graph, engagement, _ = recorded(BY_NAME["conditional"])
    branch = engagement.fork("a", {"notes": ["other"]})
    assert branch.step("z").model.routes != {}
    assert [step.name for step in branch.steps] == ["a", "left", "z"]
    # Past the reducer: the notes are replaced, not added to.
    assert load(store, branch.id).value(load(store, branch.id).tasks[0].state) == {"notes": ["other"]}
    branch = engagement.fork("left", state=lambda state: {"notes": [*state["notes"], "more"], "n": 9})
    first = load(store, branch.id).tasks[0]
    assert load(store, branch.id).value(first.state) == {"notes": ["hello", "a1", "more"], "n": 9}
    assert branch.metadata["ftnb_branch_at"]["edited"] == ["n", "notes"]


def test_an_edit_in_parallel_steps_reaches_all_of_them_and_their_join(store: SQLiteStore) -> None:
    graph, engagement, _ = recorded(BY_NAME["join"])
    branch = engagement.fork("c", {"notes": ["x"] * 10}, graph=graph)
    record = load(store, branch.id)
    assert {one.name: record.value(one.update)["notes"] for one in record.tasks} == {
        "b": ["b10"], "c": ["c10"], "b2": ["b212"], "d": ["d13"],
    }  # fmt: skip


def test_an_edit_inside_a_subgraph_stays_inside_until_it_ends(store: SQLiteStore) -> None:
    graph, engagement, _ = recorded(BY_NAME["subgraph"])
    branch = engagement.fork("q", {"notes": ["in"]}, graph=graph)
    record = load(store, branch.id)
    names = [one.full for one in record.tasks]
    assert names == ["sub", "sub/q", "sub/r", "sub/s", "z"]  # neither a, p nor the step beside the subgraph
    assert record.value(record.tasks[1].update) == {"notes": ["q1"]}
    assert "beside2" in str(record.value(record.tasks[-1].state))


def test_the_packet_of_one_sent_step_can_be_edited(store: SQLiteStore) -> None:
    graph, engagement, _ = recorded(BY_NAME["send"])
    record = load(store, engagement.id)
    second = next(one for one in record.tasks if one.state == {"n": 1, "who": {"name": "w1"}})
    branch = engagement.fork(second.step_id, {"n": 50, "who": {"name": "me"}}, graph=graph)
    record = load(store, branch.id)
    written = [record.value(one.update)["notes"] for one in record.tasks if one.name == "work"]
    assert sorted(written) == [["me:100"], ["w0:0"], ["w2:4"]]


def test_a_fork_goes_on_with_the_users_checkpointer_or_without(store: SQLiteStore) -> None:
    for saver in (None, InMemorySaver()):
        graph = graphs.builder((START, "a"), ("a", "b"), ("b", END)).compile(checkpointer=saver)
        config = {"configurable": {"thread_id": "1"}}
        graph.invoke(HELLO, config)
        engagement = ftnb.last()
        kept = [] if saver is None else [one.config for one in saver.list(config)]
        branch = engagement.fork("b", graph=graph)
        assert branch.status == "completed"
        assert [step.name for step in branch.steps] == ["b"]
        if saver is not None:
            assert [one.config for one in saver.list(config)] == kept


def test_a_state_edited_by_update_state_is_taken_from_the_checkpointer(store: SQLiteStore) -> None:
    saver = InMemorySaver()
    graph = graphs.builder((START, "a"), ("a", "b"), ("b", END)).compile(checkpointer=saver, interrupt_before=["b"])
    config: Any = {"configurable": {"thread_id": "1"}}
    graph.invoke(HELLO, config)
    graph.update_state(config, {"notes": ["edited"]}, as_node="a")
    output = graph.invoke(None, config)
    engagement = ftnb.last()
    branch = engagement.fork("b", graph=graph)
    record = load(store, branch.id)
    assert record.value(record.tasks[0].state)["notes"] == output["notes"][:-1]
    saver.storage.clear()
    with pytest.raises(ReplayError, match="changed by update_state after 'a'"):
        engagement.fork("b", graph=graph)


def test_a_fork_of_a_fork_knows_its_parent(store: SQLiteStore) -> None:
    graph, engagement, _ = recorded(BY_NAME["chain"])
    first = engagement.fork("b", {"notes": ["one"]}, graph=graph)
    second = first.fork("c", graph=graph)
    assert second.parent_id == first.id
    record = load(store, second.id)
    assert [record.value(one.state) for one in record.tasks] == [{"notes": ["one", "b1"]}]
    from ftnb.debug import _fork

    _fork.KEPT.clear()
    with pytest.raises(ReplayError, match="is gone with the process that made it"):
        first.fork("c", graph=graph)


def test_recorded_answers_are_given_and_a_new_question_is_put_to_the_model(store: SQLiteStore) -> None:
    model = parrot(*graphs.MODEL.lines)
    graph = graphs.agent(model)
    graph.invoke(graphs.CHAT)
    engagement = ftnb.last()
    n_said = model.at[0]
    ran.clear()
    branch = engagement.fork(engagement.step("act", visit=1), graph=graph)
    assert model.at[0] == n_said
    assert ran["weather"] == ran["book"] == 0
    assert branch.metadata["ftnb_branch_calls"] == {"recorded": 5}
    # Another history: what is asked is new, and goes to the model; tools are asked for the same, and are not called.
    model.at[0] = 1
    edited = engagement.fork(
        engagement.step("think", visit=2), lambda state: {"messages": [*state["messages"], ("user", "hurry")]}
    )
    assert edited.metadata["ftnb_branch_calls"] == {"live": 2, "recorded": 1}
    assert ran["book"] == 0


def test_a_tool_that_is_not_safe_is_not_called_with_new_arguments(store: SQLiteStore) -> None:
    model = parrot(AIMessage("", tool_calls=[{"name": "book", "args": {"city": "Rome"}, "id": "1"}]), "Done.")
    graph = graphs.agent(model)
    graph.invoke(graphs.CHAT)
    engagement = ftnb.last()
    other = parrot(AIMessage("", tool_calls=[{"name": "book", "args": {"city": "Bonn"}, "id": "1"}]), "Done.")
    ran.clear()
    with pytest.raises(ReplayError, match=r"tool 'book' was not called in act.*safe_tools=\['book'\]"):
        engagement.fork(engagement.step("think", visit=1), graph=graph, model=other)
    assert ran["book"] == 0
    other.at[0] = 0
    branch = engagement.fork(engagement.step("think", visit=1), graph=graph, model=other, safe_tools=["book"])
    assert ran["book"] == 1
    assert branch.status == "completed"


def test_what_the_agent_raises_ends_the_branch_as_failed(store: SQLiteStore) -> None:
    def fragile(state: graphs.Notes) -> dict[str, Any]:
        if "bad" in state["notes"]:
            raise ValueError("too bad")
        return {"notes": ["fine"]}

    graph = graphs.builder((START, "fragile"), fragile=fragile).compile()
    graph.invoke(HELLO)
    branch = ftnb.last().fork("fragile", {"notes": ["bad"]}, graph=graph)
    assert branch.status == "failed"
    assert "too bad" in str(branch.error)


def test_a_failed_step_is_forked_with_what_mends_it(store: SQLiteStore) -> None:
    def fragile(state: graphs.Notes) -> dict[str, Any]:
        return {"notes": [str(10 // state["n"])]}

    graph = graphs.builder((START, "a"), ("a", "fragile"), ("fragile", "z"), fragile=fragile).compile()
    with pytest.raises(ZeroDivisionError):
        graph.invoke({"notes": [], "n": 0})
    branch = ftnb.last().fork("fragile", {"n": 5}, graph=graph)
    assert branch.status == "completed"
    assert [step.name for step in branch.steps] == ["fragile", "z"]


def test_a_new_question_pauses_the_branch(store: SQLiteStore) -> None:
    def ask(state: graphs.Notes) -> dict[str, Any]:
        return {"notes": [interrupt(f"{len(state['notes'])} notes?")]}

    graph = graphs.builder((START, "ask"), ("ask", "z"), ask=ask).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    graph.invoke(HELLO, config)
    graph.invoke(Command(resume="yes"), config)
    engagement = ftnb.last()
    assert engagement.fork("ask").status == "completed"
    branch = engagement.fork("ask", {"notes": ["a", "b"]})
    assert branch.status == "paused"
    went_on = branch.resume("sure")
    assert went_on.status == "completed"
    assert went_on.id == branch.id
    assert [step.name for step in went_on.steps] == ["ask", "ask", "z"]
    with pytest.raises(ReplayError, match="is no fork that is paused in this process"):
        branch.resume("again")


async def test_an_async_fork_runs_on_the_callers_loop(store: SQLiteStore) -> None:
    loops: list[Any] = []

    async def node(state: graphs.Notes) -> dict[str, Any]:
        loops.append(asyncio.get_running_loop())
        return {"notes": ["x"]}

    graph = graphs.builder((START, "node"), node=node).compile()
    await graph.ainvoke(HELLO)
    engagement = ftnb.last()
    branch = await engagement.afork("node")
    assert branch.status == "completed"
    assert loops[1] is loops[0]
    # Without await, in a cell: a loop of its own, for the cell's is busy.
    assert engagement.fork("node").status == "completed"
    assert loops[2] is not loops[0]


class Strict(TypedDict):
    n: int
    names: list[str]


def test_edits_that_do_not_fit_are_refused_before_anything_runs(store: SQLiteStore) -> None:
    graph = graphs.builder((START, "a"), state=Strict, a=lambda state: {"n": 2}).compile()
    graph.invoke({"n": 1, "names": []})
    engagement = ftnb.last()
    n_known = len(store.list_engagements())
    with pytest.raises(InvalidArgumentError, match=r"names 'name', which is no key of the state.*Did you mean 'names'"):
        engagement.fork("a", {"name": []})
    with pytest.raises(InvalidArgumentError, match="'n' the value 'many', which does not fit the state's int"):
        engagement.fork("a", {"n": "many"})
    with pytest.raises(InvalidArgumentError, match="at is a step of the engagement, or its name"):
        engagement.fork(at=3)
    with pytest.raises(InvalidArgumentError, match="takes a mapping"):
        engagement.fork("a", 5)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="use='maybe' is unknown; known: recorded, live, refuse"):
        engagement.fork("a", use="maybe")
    with pytest.raises(InvalidArgumentError, match=r"compile it first: graph=builder.compile\(\)"):
        engagement.fork("a", graph=graphs.builder((START, "a")))
    with pytest.raises(ftnb.UnknownStepError, match="no step 'b'"):
        engagement.fork("b")
    assert len(store.list_engagements()) == n_known


def test_a_graph_that_no_longer_matches_is_refused(store: SQLiteStore) -> None:
    _graph, engagement, _ = recorded(BY_NAME["chain"])
    other = graphs.builder((START, "a"), ("a", "other")).compile()
    with pytest.raises(ReplayError, match="today's graph has no node 'b'; its nodes: a, other"):
        engagement.fork("b", graph=other)
    _live._graphs.clear()  # as in another process
    with pytest.raises(ReplayError, match=r"is not in this process; run the cells that define it, or pass it: graph="):
        engagement.fork("a")


def test_the_graph_is_found_by_what_ran_and_a_new_one_in_the_notebook_takes_its_place(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, engagement, _ = recorded(BY_NAME["chain"])
    assert engagement.fork("c").status == "completed"
    mended = graphs.builder((START, "a"), ("a", "b"), ("b", "c"), ("c", END), c=lambda state: {"notes": ["mended"]})
    app = mended.compile()
    monkeypatch.setattr(sys.modules["__main__"], "app", app, raising=False)
    assert load(store, engagement.fork("c").id).tasks[0].update == {"notes": ["mended"]}
    monkeypatch.setattr(sys.modules["__main__"], "app2", mended.compile(), raising=False)
    assert load(store, engagement.fork("c").id).tasks[0].update == {"notes": ["c3"]}
    _live._graphs.clear()
    with pytest.raises(ReplayError, match="2 graphs in this process have the nodes and edges"):
        engagement.fork("c")
    assert engagement.fork("c", graph=app).status == "completed"
    assert graph is not app


def test_a_purged_engagement_and_a_redacted_step_are_refused(store: SQLiteStore) -> None:
    graph = graphs.builder((START, "a"), ("a", "b")).compile()
    ftnb.redact(keys=["notes"])
    try:
        graph.invoke(HELLO)
        engagement = ftnb.last()
        with pytest.raises(ReplayError, match=r"was redacted when it was recorded"):
            engagement.fork("b", graph=graph)
    finally:
        ftnb.redact("defaults")
    graph.invoke({"notes": ["postgres://me:" + "hunter2" + "@host/db"]})
    masked = ftnb.last()
    with pytest.raises(ReplayError, match=r"holds masked text .* under 'notes'.*allow_masked=True"):
        masked.fork("b", graph=graph)
    assert masked.fork("b", {"notes": ["clean"]}, graph=graph).status == "completed"
    assert masked.fork("b", graph=graph, allow_masked=True).status == "completed"
    step = engagement.step("b")
    store.purge(engagement.id)
    with pytest.raises(ftnb.UnknownEngagementError, match="a purged one is gone for good"):
        engagement.fork(step, graph=graph)


def test_a_stop_before_a_node_pauses_the_branch_as_it_did(store: SQLiteStore) -> None:
    graph = graphs.builder((START, "a"), ("a", "b"), ("b", END)).compile(
        checkpointer=InMemorySaver(), interrupt_before=["b"]
    )
    config: Any = {"configurable": {"thread_id": "1"}}
    graph.invoke(HELLO, config)
    graph.invoke(None, config)
    engagement = ftnb.last()
    branch = engagement.fork("a", graph=graph)
    assert branch.status == "paused"
    assert branch.resume().status == "completed"
    assert [step.name for step in branch.steps] == ["a", "b"]
    assert engagement.fork("b", graph=graph).status == "completed"


def test_a_subgraph_that_keeps_a_state_of_its_own_is_refused_not_replayed_wrongly(store: SQLiteStore) -> None:
    inner = graphs.builder((START, "p"), ("p", "q")).compile(checkpointer=True)
    graph = graphs.builder((START, "a"), ("a", "sub"), ("sub", "z"), sub=inner).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    graph.invoke(HELLO, config)
    graph.invoke({"notes": ["more"]}, config)
    engagement = ftnb.last()
    assert engagement.fork(engagement.step("sub", visit=1), graph=graph).status == "completed"
    assert engagement.step("q", visit=2).replay(graph=graph).is_same
    with pytest.raises(ReplayError, match=r"keeps a state of its own between its runs \(checkpointer=True\)"):
        engagement.fork(engagement.step("a", visit=2), graph=graph)
    with pytest.raises(ReplayError, match="goes on from where its last run ended"):
        engagement.step("sub", visit=2).replay(graph=graph)
    assert ftnb.replay_all(store, graph, progress=False)
