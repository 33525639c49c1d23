"""The chat box: what its user types, sees and clicks."""

from __future__ import annotations

import asyncio
from typing import Any

import ipywidgets
import pytest

from ftnb.orchestration import Workflow
from ftnb.orchestration.chat import ChatBox
from ftnb.recorder import Recorder
from tests.orchestration.models import Scripted, State, asking

# ipywidgets' own; nothing of ours uses these.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ipywidgets", "ignore::DeprecationWarning:traitlets")


def find(box: Any, kind: type) -> list[Any]:
    """All widgets of a kind inside `box`."""
    found = [box] if isinstance(box, kind) else []
    for child in getattr(box, "children", ()):
        found += find(child, kind)
    return found


def lines(chat: ChatBox) -> list[str]:
    """What is seen of the talk, as its markup."""
    return [line.value for line in find(chat.children[0], ipywidgets.HTML)]


async def settled(chat: ChatBox) -> None:
    """Wait for the turn that a click or a typed line began."""
    while chat._tasks:
        await asyncio.sleep(0.01)


async def test_a_talk_starts_pauses_and_goes_on(recorder: Recorder) -> None:
    chat = asking().chat(recorder, llm=Scripted("hello you"), metadata={"user_id": "u"})
    turn = await chat.say("hi")
    assert (turn.status, chat.transcript) == ("paused", [("you", "hi"), ("card", "card: who are you?")])
    turn = await chat.say("Ada")
    assert turn.status == "completed"
    assert chat.transcript[2:] == [("you", "Ada"), ("agent", "hello you")]
    (summary,) = recorder.store.list_engagements(where={"user_id": "u"})
    assert (summary.id, summary.n_turns) == (turn.engagement_id, 2)


async def test_what_is_typed_goes_to_the_workflow(recorder: Recorder) -> None:
    chat = asking().chat(recorder, llm=Scripted("x"))
    (field,) = find(chat, ipywidgets.Text)
    (send, *_) = find(chat, ipywidgets.Button)
    field.value = "  hi  "
    field._handle_custom_msg({"event": "submit"}, [])  # what the browser sends for the Enter key
    assert field.value == ""
    await settled(chat)
    assert not field.disabled
    assert chat.transcript[0] == ("you", "hi")
    field.value = "   "
    send.click()
    assert not chat._tasks


async def test_a_click_that_arrives_on_another_thread(recorder: Recorder) -> None:
    chat = asking().chat(recorder, llm=Scripted("x"))
    (field,) = find(chat, ipywidgets.Text)
    (send, *_) = find(chat, ipywidgets.Button)
    field.value = "hi"
    await asyncio.to_thread(send.click)
    await settled(chat)
    assert chat.turn is not None
    assert chat.turn.is_paused


async def test_a_card_has_buttons_and_a_click_answers(recorder: Recorder) -> None:
    chat = asking().chat(recorder, llm=Scripted("x"))
    await chat.say("hi")
    yes, no = [one for one in find(chat, ipywidgets.Button) if one.description != "Send"]
    assert (yes.description, no.description) == ("Yes", "No")
    yes.click()
    await settled(chat)
    assert chat.turn is not None
    assert chat.turn.status == "completed"
    assert ("you", "confirm: True") in chat.transcript
    assert len(find(chat, ipywidgets.Button)) == 1  # the card is gone


@pytest.mark.parametrize("actions", [{"Sure": {"ok": 1}, "Never": {"ok": 0}}, ["Sure", "Never"]])
async def test_a_card_may_name_its_actions(recorder: Recorder, actions: Any) -> None:
    wf = Workflow("w", state_schema=State)
    replies: list[Any] = []

    @wf.step
    async def ask(state: State, ctx: Any) -> None:
        replies.append(await ctx.pause(awaiting="x", payload={"title": "Really?", "actions": actions}))

    wf.entry("ask")
    wf.finish("ask")
    chat = wf.chat(recorder)
    await chat.say("hi")
    assert chat.transcript[-1] == ("card", "title: Really?")
    (button,) = [one for one in find(chat, ipywidgets.Button) if one.description == "Never"]
    button.click()
    await settled(chat)
    assert replies == [{"ok": 0} if isinstance(actions, dict) else {"action": "Never"}]


async def test_tokens_appear_as_they_come(recorder: Recorder) -> None:
    seen: list[int] = []

    class Watched(Scripted):
        async def astream(self, messages: Any, **overrides: Any) -> Any:
            async for chunk in super().astream(messages, **overrides):
                yield chunk
                await asyncio.sleep(0.01)
                seen.append(len(lines(chat)[-1]))

    wf = Workflow("w", state_schema=State)

    @wf.step
    async def answer(state: State, ctx: Any) -> dict[str, Any]:
        ctx.emit({"found": 3})
        return {"messages": [await ctx.llm("hi", stream=True)]}

    wf.entry("answer")
    wf.finish("answer")
    chat = wf.chat(recorder, llm=Watched("a long answer in parts"))
    await chat.say("hi")
    assert chat.transcript == [("you", "hi"), ("card", "found: 3"), ("agent", "a long answer in parts")]
    assert seen[0] < seen[1] < seen[2]


async def test_hostile_text_is_shown_not_run(recorder: Recorder) -> None:
    chat = asking().chat(recorder, llm=Scripted("<script>alert(1)</script>"))
    await chat.say("<img src=x onerror=alert(1)>")
    await chat.say("x")
    shown = "".join(lines(chat))
    assert "<script" not in shown
    assert "<img" not in shown
    assert "&lt;script&gt;" in shown


async def test_an_error_is_told_in_the_talk(recorder: Recorder) -> None:
    chat = asking().chat(recorder, llm=Scripted(ConnectionError("provider is down")))
    await chat.say("hi")
    with pytest.raises(ConnectionError):
        await chat.say("Ada")
    assert chat.transcript[-1] == ("error", "ConnectionError: provider is down")
    (field,) = find(chat, ipywidgets.Text)
    assert not field.disabled


async def test_after_a_failure_the_next_line_begins_anew(recorder: Recorder) -> None:
    model = Scripted(ConnectionError("down"), "fine")
    chat = asking().chat(recorder, llm=model)
    await chat.say("hi")
    with pytest.raises(ConnectionError):
        await chat.say("Ada")
    assert (await chat.say("hi again")).is_paused
    assert (await chat.say("Ada")).status == "completed"
    assert len(recorder.store.list_engagements()) == 2


async def test_the_engagement_grows_beside_it(recorder: Recorder) -> None:
    pytest.importorskip("anywidget")
    chat = asking().chat(recorder, llm=Scripted("x"))
    assert len(chat.children) == 2
    await chat.say("hi")
    if chat._view is None:
        pytest.skip("the widget's bundle is not built")
    assert [step.name for step in chat._view.engagement.steps] == ["ask"]
    view = chat._view
    await chat.say("Ada")
    assert chat._view is view
    assert [step.name for step in view.engagement.steps] == ["ask", "ask", "greet"]


async def test_it_can_do_without_the_trace(recorder: Recorder) -> None:
    chat = asking().chat(recorder, show_trace=False, llm=Scripted("x"))
    await chat.say("hi")
    assert len(chat.children) == 1
    assert repr(chat) == "<ChatBox 'asking': 2 lines, paused>"
