"""The workflow examples: they run offline and show what they say."""

from __future__ import annotations

import importlib
import json

import pytest


async def shown(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    await importlib.import_module(f"ftnb.examples.{name}").main()
    return capsys.readouterr().out.splitlines()


async def test_hitl_resume(capsys: pytest.CaptureFixture[str]) -> None:
    lines = await shown("hitl_resume", capsys)
    assert lines[0].startswith("turn 1: paused, awaiting viewing_confirm, card {'title'")
    assert lines[1:] == [
        "turn 2: completed",
        "one engagement, completed, in 2 turns",
        "  turn 1: confirm (attempt 1) waiting",
        "  turn 2: confirm (attempt 2) completed",
        "  turn 2: book (attempt 1) completed",
    ]


async def test_session_loop(capsys: pytest.CaptureFixture[str]) -> None:
    *turns, last = await shown("session_loop", capsys)
    assert [line.rpartition("(")[2].split(",")[0] for line in turns] == ["paused"] * 4
    assert "'I need a flat.' -> 'Which area?'" in turns[0]
    assert last.startswith("one engagement, paused: 4 turns, ")
    assert int(last.split()[-2]) == sum(int(line.split()[-2]) for line in turns)


async def test_streaming_turn(capsys: pytest.CaptureFixture[str]) -> None:
    lines = await shown("streaming_turn", capsys)
    sent = [json.loads(line) for line in lines if not line.startswith(">")]
    assert [one["type"] for one in sent if one["type"] in ("paused", "completed")] == ["paused", "paused", "completed"]
    assert "".join(one["text"] for one in sent if one["type"] == "token").strip() == (
        "Mill Lane is quieter, Quay is cheaper."
    )
    assert [one for one in sent if one["type"] == "emit"] == [{"type": "emit", "flats": ["Mill Lane 3", "Quay 12"]}]


async def test_agentic_step(capsys: pytest.CaptureFixture[str]) -> None:
    lines = await shown("agentic_step", capsys)
    assert lines[0].startswith("step assist: completed, ")
    assert [line.split()[:2] for line in lines[1:-1]] == [
        ["llm_call", "scripted"],
        ["tool_call", "search_flats"],
        ["llm_call", "scripted"],
        ["tool_call", "book_viewing"],
        ["llm_call", "scripted"],
        ["tool_call", "book_viewing"],
        ["llm_call", "scripted"],
    ]
    assert lines[4].endswith("Mill Lane 4 is not to let")
    assert lines[-1] == "You can view Mill Lane 3 on Friday at 17:00."
