"""Every Python sample of flowtraicer's README, run as it stands with the import renamed; `run.py` calls this.

What a sample leaves out (the application around it, its provider, a server) is put in its place: `World` below. What a
sample only defines is then used, and looked at.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import textwrap
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel
from rename import rename_package

from ftnb import orchestration
from ftnb.core.model import TokenUsage
from ftnb.langgraph_adapter import run_instrumented
from ftnb.llm import LLMClient, LLMResult, ToolRequest
from ftnb.orchestration import ResumeError, Workflow
from ftnb.recorder import Recorder
from ftnb.registry import REGISTER
from ftnb.store.sqlite import SQLiteStore
from tests.orchestration.models import State

FENCE = re.compile(r"^( *)```python\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
ANSWER = '{"budget": 95000, "area": "Shibuya"}'


def samples() -> list[Any]:
    text = Path(os.environ["FTNB_SEED_README"]).read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        code = rename_package(textwrap.dedent(match.group(2)), "ft", "ftnb")
        found.append(pytest.param(code, id=f"line{line}"))
    return found


class Model:
    """Calls a tool where it has any, then answers with JSON."""

    def __init__(self) -> None:
        self.tools: list[str] = []

    async def acomplete(self, messages: Any, *, tools: Any = None, **overrides: Any) -> LLMResult:
        cost = TokenUsage(prompt=4, completion=3)
        todo = [one["name"] for one in tools or [] if one["name"] not in self.tools]
        if todo:
            self.tools.append(todo[0])
            args = {"area": "Tokyo", "a": "x", "b": "y"}
            known = next(one for one in tools if one["name"] == todo[0])["parameters"]["properties"]
            request = ToolRequest(todo[0], {key: value for key, value in args.items() if key in known})
            return LLMResult("", cost, "scripted", tool_calls=[request])
        return LLMResult(ANSWER, cost, "scripted")

    async def astream(self, messages: Any, **overrides: Any) -> Any:
        yield ANSWER[:9]
        yield ANSWER[9:]
        yield await self.acomplete(messages)


class Budget(BaseModel):
    budget: int
    area: str


class Service:
    async def search(self, area: str) -> list[str]:
        return [f"a school in {area}"]

    async def compare(self, a: str, b: str) -> dict[str, str]:
        return {"winner": a}


@dataclass
class World:
    """What a sample finds around it."""

    monkeypatch: pytest.MonkeyPatch
    store: SQLiteStore = field(default_factory=SQLiteStore)
    made: list[Workflow] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.recorder = Recorder(self.store)
        self.elided: Callable[[Workflow], None] = lambda wf: None
        world = self

        class Elided(Workflow):
            """Has at once the steps that the sample leaves to its reader."""

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                world.made.append(self)
                world.elided(self)

        self.monkeypatch.setattr(orchestration, "Workflow", Elided)

    def names(self) -> dict[str, Any]:
        """The names that samples use without saying where they come from."""
        wf = talking()
        usage = SimpleNamespace(prompt_tokens=5, completion_tokens=2, input=5, output=2)

        class Sdk:
            async def generate(self, messages: Any, **overrides: Any) -> Any:
                return SimpleNamespace(text="hi", usage=usage, model="gemini")

        class MyGeminiClient(Model):
            def __init__(self, sdk: Any) -> None:
                super().__init__()

        async def compare_schools(args: dict[str, Any], ctx: Any) -> str:
            return str(args["a"])

        return {
            "recorder": self.recorder, "store": self.store, "workflow": wf, "wf": wf, "llm": Model(), "State": State,
            "state": {"messages": [ANSWER]}, "initial_state": {"messages": ["hello"]}, "session_id": "s-1", "deps": {},
            "reply": {"confirm": True}, "KEY": "k", "DSN": "postgresql://localhost/x", "sdk": Sdk(), "step_id": None,
            "resp": SimpleNamespace(usage=usage), "LLMClient": LLMClient, "LLMResult": LLMResult, "Workflow": Workflow,
            "MyGeminiClient": MyGeminiClient, "ResumeError": ResumeError, "router": lambda state: "apply",
            "Protocol": object, "compare_schools": compare_schools, "run_instrumented": run_instrumented,
            "build_qualification_card": lambda state: {"card": 1}, "render": lambda card: None,
            "collect_reply": lambda: {"confirm": True}, "ndjson": json.dumps, "app": wf.compile(),
            "to_ndjson": lambda event: event.kind, "StreamingResponse": lambda body, **_: body,
        }  # fmt: skip


def talking() -> Workflow:
    """A workflow that answers, waits, and ends."""
    wf = Workflow("talking", state_schema=State)

    @wf.step
    async def qualify(state: Any, ctx: Any) -> dict[str, Any]:
        return {"messages": [await ctx.llm("hi")]}

    wf.entry("qualify")
    wf.finish("qualify")
    return wf


def waiting(*labels: str) -> Workflow:
    """A workflow that asks once for each label."""
    wf = Workflow("waiting", state_schema=State)
    for label in labels:

        async def ask(state: Any, ctx: Any, label: str = label) -> dict[str, Any]:
            return {"messages": [str(await ctx.pause(awaiting=label, payload={"card": label}))]}

        wf.step(name=label)(ask)
    wf.entry(labels[0])
    for before, after in pairwise(labels):
        wf.edge(before, after)
    wf.finish(labels[-1])
    return wf


async def execute(code: str, names: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Run a sample as the body of an async function; returns what it returns, and what it defines."""
    body = textwrap.indent(code, " " * 8)
    source = f"async def sample():\n    try:\n{body}\n    finally:\n        _seen.update(locals())\n"
    tree = ast.parse(source)
    seen: dict[str, Any] = {}
    # A class body inside a function cannot see what only its call defines, so names are globals of the sample.
    scope = {**names, "_seen": seen, "__name__": "sample"}
    function_scope(tree)
    exec(compile(tree, "<sample>", "exec"), scope)
    result = await scope["sample"]()
    return result, {**scope, **seen}


def function_scope(tree: ast.Module) -> None:
    """Make the names that the sample binds at its top level global, as they are in a module."""
    (function,) = tree.body
    assert isinstance(function, ast.AsyncFunctionDef)
    (block,) = function.body
    assert isinstance(block, ast.Try)
    bound: set[str] = set()
    for statement in block.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(statement.name)
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.add(node.id)
            elif isinstance(node, ast.alias):
                bound.add((node.asname or node.name).partition(".")[0])
    if bound:
        function.body.insert(0, ast.fix_missing_locations(ast.Global(sorted(bound))))
        ast.fix_missing_locations(tree)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    made = World(monkeypatch)
    stand_in(made)
    yield made
    made.recorder.close()
    REGISTER.reset()


def stand_in(world: World) -> None:
    """Providers and servers that are not here."""
    litellm, instructor = pytest.importorskip("litellm"), pytest.importorskip("instructor")

    async def acompletion(**_: Any) -> Any:
        usage = SimpleNamespace(prompt_tokens=5, completion_tokens=2, total_tokens=7)
        return SimpleNamespace(choices=[SimpleNamespace(message=SimpleNamespace(content="hi"))], usage=usage)

    def create(*, response_model: Any, **_: Any) -> Any:
        return response_model(budget=95000, area="Shibuya")

    world.monkeypatch.setattr(litellm, "acompletion", acompletion)
    world.monkeypatch.setattr(instructor, "from_provider", lambda *_, **__: SimpleNamespace(create=create))
    if find_spec("ftnb.store.postgres"):
        world.monkeypatch.setattr("ftnb.store.postgres.PostgresStore", lambda *_, **__: world.store)
    if find_spec("ftnb.store.redis"):
        world.monkeypatch.setattr("ftnb.store.redis.RedisStore", lambda *_, **__: SQLiteStore())
    if find_spec("ftnb.server"):
        for name in ("ftnb.server.serve", "ftnb.server.app.serve"):
            world.monkeypatch.setattr(name, lambda *_, **__: None)
        world.monkeypatch.setattr("uvicorn.run", lambda *_, **__: None)


# --- what a sample needs beyond that, and what is looked at after it ---

Check = Callable[[World, str], Awaitable[None]]
CHECKS: dict[str, Check] = {}


def about(part: str) -> Callable[[Check], Check]:
    """This check is for the sample that holds `part`."""

    def register(check: Check) -> Check:
        CHECKS[part] = check
        return check

    return register


@about("uvicorn.run(create_app(")
async def the_viewer_as_an_application(world: World, code: str) -> None:
    from fastapi.testclient import TestClient

    served: list[Any] = []
    world.monkeypatch.setattr("uvicorn.run", lambda app, **where: served.append((app, where)))
    eid = await talking().run({"messages": []}, world.recorder, llm=Model())
    await execute(code, world.names() | {"SQLiteStore": lambda path: world.store})
    ((app, where),) = served
    assert where == {"host": "127.0.0.1", "port": 8400}
    assert [one["id"] for one in TestClient(app).get("/api/engagements").json()] == [eid]


@about("2. Pick a store")
async def getting_started(world: World, code: str) -> None:
    # It calls asyncio.run itself, so it runs as a script does.
    Path("sample.py").write_text(code, encoding="utf-8")
    import asyncio
    import runpy

    found = await asyncio.to_thread(runpy.run_path, "sample.py")
    engagement = found["engagement"]
    assert [step.name for step in engagement.steps] == ["greet", "search"]
    assert [event.name for event in engagement.steps[1].events] == ["search_db"]
    assert engagement.metadata == {"user_id": "u-42", "session_id": "s-1"}
    found["recorder"].close()


@about('"events": [{"kind": "log"')
async def enriching(world: World, code: str) -> None:
    _, seen = await execute(code, world.names())
    wf = Workflow("w", state_schema=State)
    wf.step(seen["qualify"])
    wf.entry("qualify")
    wf.finish("qualify")
    engagement = world.store.get_engagement(await wf.run({"messages": []}, world.recorder))
    assert [event.kind.value for event in engagement.steps[0].events] == ["tool_call", "llm_call", "log", "extraction"]
    assert engagement.total_tokens == 84


@about("didn't reach it -> ABANDONED")
async def goals(world: World, code: str) -> None:
    REGISTER.set_llm_provider(Model())
    await execute(code, world.names())
    (summary,) = world.store.list_engagements()
    assert summary.status.value == "abandoned"


@about("from_config({")
async def one_config(world: World, code: str) -> None:
    _, seen = await execute(code, world.names())
    assert world.store.get_engagement(seen["engagement_id"]).total_tokens == 7


@about("class MyGeminiClient:")
async def own_client(world: World, code: str) -> None:
    names = world.names()
    _, seen = await execute(code, names)
    assert isinstance(seen["MyGeminiClient"](names["sdk"]), LLMClient)
    (summary,) = world.store.list_engagements()
    assert world.store.get_engagement(summary.id).total_tokens == 7


@about("set_llm_provider VALIDATES")
async def default_provider(world: World, code: str) -> None:
    await execute(code, world.names())
    assert REGISTER.get_llm_provider() is not None


@about("REGISTER.record_llm_usage(")
async def usage_outside(world: World, code: str) -> None:
    await execute(code, world.names())
    (summary,) = world.store.list_engagements(where={"session_id": "s-1"})
    assert (summary.name, summary.total_tokens) == ("instagram_dm.classifier", 7)


@about("extractor.extract_and_record(recorder")
async def extraction(world: World, code: str) -> None:
    engagement_id = world.recorder.start_engagement("e")
    step_id = world.recorder.start_step(engagement_id, "qualify")
    # It returns in its middle, as a node does; the lines after that are run as well.
    lines = code.splitlines()
    (place,) = [n for n, line in enumerate(lines) if line.startswith("return ")]
    names = world.names() | {"step_id": step_id}
    returned, _ = await execute("\n".join(lines[: place + 1]), names)
    assert returned["extraction"]["values"] == {"budget": 95000, "area": "Shibuya"}
    await execute("\n".join(lines[:place] + lines[place + 1 :]), names)
    (step,) = world.store.get_engagement(engagement_id).steps
    assert step.extraction is not None
    assert step.extraction.values == {"budget": 95000, "area": "Shibuya"}


@about("async def criteria(state, ctx)")
async def extraction_through_the_run(world: World, code: str) -> None:
    wf = Workflow("w", state_schema=State)
    await execute(code, world.names() | {"wf": wf})
    wf.entry("criteria")
    wf.finish("criteria")
    engagement_id = await wf.run({"messages": ["Shibuya, 95k"]}, world.recorder, llm=Model())
    (step,) = world.store.get_engagement(engagement_id).steps
    assert step.extraction is not None
    assert (step.extraction.values, step.total_tokens) == (json.loads(ANSWER), 7)


@about('Workflow("school_journey"')
async def declarative(world: World, code: str) -> None:
    def elided(wf: Workflow) -> None:
        for name in ("intake", "comparison", "consent", "submit"):
            wf.step(name=name)(lambda state: {})
        wf.edge("comparison", "submit")
        wf.edge("consent", "submit")

    world.elided = elided
    _, seen = await execute(code, world.names())
    engagement = world.store.get_engagement(seen["engagement_id"])
    assert [step.name for step in engagement.steps] == ["intake", "school_selection", "consent", "submit"]
    assert engagement.status.value == "completed"
    assert engagement.metadata == {"user_id": "u1"}


@about('Workflow("qualification_chat"')
async def pausing(world: World, code: str) -> None:
    _, seen = await execute(code, world.names())
    assert seen["turn"].status == "completed"
    (summary,) = world.store.list_engagements()
    assert summary.id == seen["turn"].engagement_id


@about("re-render the latest persisted message")
async def resume_errors(world: World, code: str) -> None:
    names = world.names() | {"wf": waiting("qualification_confirm", "area")}
    await execute(code, names)  # never started
    await names["wf"].start({"messages": []}, world.recorder, thread_id="s-1")
    _, seen = await execute(code, names)
    assert (seen["turn"].status, seen["turn"].awaiting) == ("paused", "area")
    await execute(code, names)  # it waits for something else now
    turn = await names["wf"].resume("s-1", world.recorder, input=1, expect_awaiting="area")
    assert turn.status == "completed"


@about("while turn.is_paused:")
async def chained(world: World, code: str) -> None:
    _, seen = await execute(code, world.names() | {"wf": waiting("a", "b", "c")})
    assert seen["turn"].status == "completed"


@about("no payload → turn.interrupt is None")
async def cardless(world: World, code: str) -> None:
    wf = Workflow("w", state_schema=State)
    await execute(code, world.names() | {"wf": wf})
    wf.entry("await_user")
    wf.finish("await_user")
    turn = await wf.start({"messages": []}, world.recorder, thread_id="t")
    assert (turn.status, turn.awaiting, turn.interrupt) == ("paused", "user_turn", None)


@about('Workflow("streaming_chat"')
async def streaming(world: World, code: str) -> None:
    body, _ = await execute(code, world.names())
    (wf,) = world.made

    @wf.step
    async def first(state: Any, ctx: Any) -> dict[str, Any]:
        await ctx.pause(awaiting="x")
        ctx.emit({"card": 1})
        return {}

    wf.entry("first")
    wf.edge("first", "answer")
    wf.finish("answer")
    await wf.start({"messages": []}, world.recorder, thread_id="s-1")
    lines = [json.loads(line) async for line in body]
    assert [line["type"] for line in lines] == [
        "status", "message_form", "status", "text_chunk", "text_chunk", "usage",
    ]  # fmt: skip
    assert "".join(line["text"] for line in lines if line["type"] == "text_chunk") == ANSWER
    assert lines[-1]["total"] == 7


@about("No resumable engagement for this thread")
async def resume_or_start(world: World, code: str) -> None:
    _, seen = await execute(code, world.names() | {"wf": waiting("a")})
    assert [kind async for kind in seen["event_stream"]()] == ["step_started", "paused"]
    assert [kind async for kind in seen["event_stream"]()] == ["step_started", "step_finished", "completed"]
    assert len(world.store.list_engagements()) == 1


@about('Workflow("school_qa"')
async def agentic(world: World, code: str) -> None:
    await execute(code, world.names())
    (wf,) = world.made
    wf.entry("qa")
    wf.finish("qa")
    deps = {"school_service": Service()}
    engagement_id = await wf.run({"messages": ["?"]}, world.recorder, llm=Model(), deps=deps)
    (step,) = world.store.get_engagement(engagement_id).steps
    tools = [event for event in step.events if event.kind.value == "tool_call"]
    assert [(event.name, event.error) for event in tools] == [("search_schools", None), ("compare_schools", None)]
    assert step.total_tokens == 21


@about("mid-loop render card")
async def emitting_tool(world: World, code: str) -> None:
    _, seen = await execute(code, world.names())
    ctx = SimpleNamespace(deps={"school_service": Service()}, shown=[])
    ctx.emit = ctx.shown.append
    assert await seen["compare_schools"]({"a": "x", "b": "y"}, ctx) == {"winner": "x"}
    assert ctx.shown == [{"type": "school_comparison", "schools": {"winner": "x"}}]


@about("f = funnel(store,")
async def questions(world: World, code: str) -> None:
    journey = ("intake", "school_selection", "comparison", "application", "submitted")
    for reached in (5, 3):
        wf = Workflow("journey", state_schema=State)
        for name in journey[:reached]:
            wf.step(name=name)(lambda state: {})
        for before, after in pairwise(journey[:reached]):
            wf.edge(before, after)
        wf.entry(journey[0])
        wf.finish(journey[reached - 1])
        await wf.run({"messages": []}, world.recorder, metadata={"session_id": "s-1", "user_id": "u-42"})
    _, seen = await execute(code, world.names())
    assert [step.reached for step in seen["f"].steps] == [2, 2, 2, 1, 1]


@pytest.mark.asyncio
@pytest.mark.parametrize("code", samples())
async def test_sample(code: str, world: World) -> None:
    missing = [name for name in re.findall(r"from (ftnb[\w.]*)", code) if not _there(name)]
    if missing:
        pytest.skip(f"needs {missing[0]}, which is not there yet")
    checks = [check for part, check in CHECKS.items() if part in code]
    assert len(checks) <= 1
    if checks:
        await checks[0](world, code)
    else:
        names = world.names() | {"eid": await talking().run({"messages": []}, world.recorder, llm=Model())}
        if "now=..." in code:
            from datetime import UTC, datetime

            names |= {"cutoff_datetime": datetime(2000, 1, 1, tzinfo=UTC)}
            code = code.replace("now=...", "now=cutoff_datetime")
        result, _ = await execute(code, names)
        assert not inspect.isawaitable(result)


def _there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
