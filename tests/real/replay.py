"""Recorded conversations, run again through a LangGraph agent: model and tools answer what the file says."""

from __future__ import annotations

import gzip
import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

CONVERSATIONS = Path(__file__).parents[2].parent / "shared" / "data" / "tau_airline_gpt4o.jsonl.gz"
NOT_HERE = f"needs recorded conversations, which are no part of this project; nothing is at {CONVERSATIONS}"
TRANSFER = "transfer_to_human_agents"


def read_conversations(path: Path = CONVERSATIONS) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def thread_id(conversation: dict[str, Any]) -> str:
    return f"task-{conversation['task_id']}-trial-{conversation['trial']}"


@dataclass
class Tape:
    """What is still to be said and returned in one conversation, in the file's order."""

    answers: deque[dict[str, Any]] = field(default_factory=deque)
    results: deque[dict[str, Any]] = field(default_factory=deque)

    @classmethod
    def of(cls, messages: list[dict[str, Any]]) -> Tape:
        return cls(
            answers=deque(m for m in messages if m["role"] == "assistant"),
            results=deque(m for m in messages if m["role"] == "tool"),
        )


class TapeModel(BaseChatModel):
    """Says the next recorded answer."""

    tape: Any

    @property
    def _llm_type(self) -> str:
        return "tape"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        recorded = self.tape.answers.popleft()
        calls = [
            {"name": c["function"]["name"], "args": json.loads(c["function"]["arguments"]), "id": c["id"]}
            for c in recorded.get("tool_calls") or ()
        ]
        message = AIMessage(
            recorded["content"] or "", tool_calls=calls, response_metadata={"model_name": "gpt-4o-2024-05-13"}
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


class Airline:
    """The agent, one graph for all conversations; a thread is one conversation."""

    def __init__(self, conversations: list[dict[str, Any]]) -> None:
        self.tapes = {thread_id(c): Tape.of(c["traj"]) for c in conversations}
        self.tool_names = sorted({m["name"] for c in conversations for m in c["traj"] if m["role"] == "tool"})
        self.tools = {name: self._tool(name) for name in self.tool_names}
        self.graph = self._build()

    def _tool(self, name: str) -> BaseTool:
        def run(config: RunnableConfig, **arguments: Any) -> str:
            result = self._tape(config).results.popleft()
            assert result["name"] == name
            return str(result["content"])

        schema = {"title": name, "type": "object", "properties": {}, "additionalProperties": True}
        return StructuredTool.from_function(run, name=name, description=name, args_schema=schema)

    def _tape(self, config: RunnableConfig) -> Tape:
        return self.tapes[config["configurable"]["thread_id"]]

    def _agent(self, state: MessagesState, config: RunnableConfig) -> dict[str, list[AnyMessage]]:
        return {"messages": [TapeModel(tape=self._tape(config)).invoke(state["messages"])]}

    def _use_tool(self, state: MessagesState) -> dict[str, list[AnyMessage]]:
        said = state["messages"][-1]
        assert isinstance(said, AIMessage)
        # Given a whole tool call, a LangChain tool answers with a ToolMessage.
        return {"messages": [self.tools[c["name"]].invoke({**c, "type": "tool_call"}) for c in said.tool_calls]}

    def _after_agent(self, state: MessagesState) -> str:
        said = state["messages"][-1]
        if not isinstance(said, AIMessage) or not said.tool_calls:
            return END
        return TRANSFER if said.tool_calls[0]["name"] == TRANSFER else "tools"

    def _after_tools(self, state: MessagesState, config: RunnableConfig) -> str:
        return "agent" if self._tape(config).answers else END

    def _build(self) -> CompiledStateGraph[Any, Any, Any, Any]:
        graph = StateGraph(MessagesState)
        graph.add_node("agent", self._agent)
        graph.add_node("tools", self._use_tool)
        graph.add_node(TRANSFER, self._use_tool)
        graph.add_edge(START, "agent")
        graph.add_conditional_edges("agent", self._after_agent, ["tools", TRANSFER, END])
        graph.add_conditional_edges("tools", self._after_tools, ["agent", END])
        graph.add_edge(TRANSFER, END)
        return graph.compile(checkpointer=InMemorySaver(), name="airline")

    def replay(self, conversation: dict[str, Any]) -> None:
        """One invoke for each message of the user, on one thread, as a chat app does it."""
        metadata = {key: conversation[key] for key in ("task_id", "trial", "reward")}
        metadata["user_id"] = conversation["info"]["task"]["user_id"]
        config: RunnableConfig = {"configurable": {"thread_id": thread_id(conversation)}, "metadata": metadata}
        system, *others = conversation["traj"]
        new: list[AnyMessage] = [SystemMessage(system["content"])]
        tape = self._tape(config)
        for message in others:
            if message["role"] != "user":
                continue
            new.append(HumanMessage(message["content"]))
            if tape.answers:
                self.graph.invoke({"messages": new}, config)
                new = []
        assert not tape.answers
        assert not tape.results
