"""A house-search agent: an ordinary LangGraph graph that knows nothing of ftnb.

    greet ─▶ qualify ─┬▶ search_listings ─┬▶ rank ─▶ book_viewing ─▶ submitted
              ▲  └─┘  └▶ search_agencies ─┘   │
              ╰ asks      ▲   ▲               │
                          └───┴── refine ◀────┘          escalate: from anywhere, when somebody wants a human

Its chat model is scripted and its users are generated, so that it runs anywhere and always in the same way; some users
leave, some agencies do not answer, and some runs fail.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessageChunk,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    message_chunk_to_message,
)
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command
from pydantic import BaseModel

from . import house_data as data
from .house_users import User, make_users
from .scripted_model import Answer, ScriptedChatModel

__all__ = ["FUNNEL", "GLOBAL_NODES", "GOAL_NODES", "Brief", "User", "build_graph", "make_users", "run_one"]

GOAL_NODES = {"submitted"}
GLOBAL_NODES = {"escalate"}
FUNNEL = ["greet", "qualify", "search_listings", "rank", "book_viewing", "submitted"]

_HOUSE_RULES = """You help people to find a flat to rent. Be friendly and brief, one question at a time.
Never promise a flat, never ask for documents or payments, and never give legal advice.
Rents are in euros a month, heating included. Offer a human whenever somebody asks for one.
Flats come from the public listings and from agencies; say which, and never invent one."""


class Brief(BaseModel):
    """What somebody is looking for."""

    area: str | None = None
    rooms: int | None = None
    max_rent: int | None = None
    """Euros a month."""


class SearchState(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    replies: list[str]
    """What the user will say next: an app would wait for it."""
    brief: dict[str, Any]
    listings: list[data.Flat]
    agency_flats: list[data.Flat]
    shortlist: list[dict[str, Any]]
    application: str


# --- what the model says ---


def _script(messages: Sequence[BaseMessage]) -> Answer:
    rules, _, task = messages[0].text.rpartition("\nTask: ")
    facts = rules.rpartition("\nFacts: ")[2]
    heard = " ".join(message.text for message in messages if message.type == "human")
    if task == "brief":
        areas = [area for area in re.findall(r"[A-Z]\w+(?: Town)?", heard) if area in data.BASE_RENT]
        rooms, rents = re.findall(r"(\d) room", heard), re.findall(r"€(\d+)", heard)
        return {
            "area": areas[-1] if areas else None,
            "rooms": int(rooms[-1]) if rooms else None,
            "max_rent": int(rents[-1]) if rents else None,
        }
    return {
        "greet": "Hello! I can help you to find a flat. Which area, how many rooms, and up to which rent?",
        "ask": "Thank you. What is the most that you would like to pay a month?",
        "present": f"This is what fits best: {facts}. Shall I look further, or would you like to see one?",
        "viewing": f"You can see it on {facts}. Would you like to apply afterwards?",
        "confirm": f"Your application {facts} is on its way. Good luck!",
        "hand_over": f"A colleague takes over now; your ticket is {facts}.",
    }[task]


def _models() -> dict[str, BaseChatModel]:
    """A small model for the talk, and one that reasons to choose."""
    return {
        "small": ScriptedChatModel(model_name="lodge-small-2", script=_script),
        "large": ScriptedChatModel(model_name="lodge-large-2", script=_script, reasoning=96),
    }


_MODELS = _models()


def _prompt(task: str, state: SearchState, facts: object = "none") -> list[BaseMessage]:
    return [SystemMessage(f"{_HOUSE_RULES}\nFacts: {facts}\nTask: {task}"), *state["messages"]]


def _exchange(state: SearchState, said: BaseMessage) -> dict[str, Any]:
    """The agent has spoken; the user answers, or has left."""
    replies = state.get("replies", [])
    return {"messages": [said, *(HumanMessage(text) for text in replies[:1])], "replies": replies[1:]}


def _wants(state: Mapping[str, Any]) -> str:
    """What the user asks for in the last message: nothing (they have left), human, apply, see or more."""
    last = state["messages"][-1]
    if last.type != "human":
        return "nothing"
    words = {"human": "human", "apply": "apply", "to see": "see"}
    return next((wish for word, wish in words.items() if word in last.text), "more")


# --- the nodes ---


def greet(state: SearchState) -> dict[str, Any]:
    return _exchange(state, _MODELS["small"].invoke(_prompt("greet", state)))


def _read_brief(state: SearchState) -> Brief:
    brief = _MODELS["small"].with_structured_output(Brief).invoke(_prompt("brief", state))
    return Brief.model_validate(brief)


def qualify(state: SearchState) -> dict[str, Any]:
    brief = _read_brief(state)
    update: dict[str, Any] = {"brief": brief.model_dump()}
    if brief.area is not None:
        data.lookup_area.invoke({"area": brief.area})
    if brief.max_rent is None:
        update |= _exchange(state, _MODELS["small"].invoke(_prompt("ask", state)))
    return update


def refine(state: SearchState) -> dict[str, Any]:
    return {"brief": _read_brief(state).model_dump()}


def search_listings(state: SearchState) -> dict[str, Any]:
    return {"listings": data.query_listings.invoke(state["brief"])}


def search_agencies(state: SearchState) -> dict[str, Any]:
    found: list[data.Flat] = []
    for agency in data.AGENCIES:
        try:
            found += data.ask_agency.invoke({"agency": agency, **state["brief"]})
        except TimeoutError:
            continue  # the other offers are still worth showing
    return {"agency_flats": found}


def rank(state: SearchState) -> dict[str, Any]:
    flats = [*state["listings"], *state["agency_flats"]]
    priced: list[dict[str, Any]] = [{**flat, "rent_per_m2": round(flat["rent"] / flat["size_m2"], 2)} for flat in flats]
    shortlist = sorted(priced, key=lambda flat: flat["rent_per_m2"])[:3]
    facts = "; ".join(f"{flat['id']} ({flat['source']}), {flat['size_m2']} m², €{flat['rent']}" for flat in shortlist)
    said = AIMessageChunk(content="")
    for chunk in _MODELS["large"].stream(_prompt("present", state, facts or "nothing within these limits")):
        said += chunk
    return {"shortlist": shortlist, **_exchange(state, message_chunk_to_message(said))}


def book_viewing(state: SearchState) -> Command[Literal["submitted", "escalate", "__end__"]]:
    flat, slot = state["shortlist"][0], "a day that we will tell you"
    for day in ("Tuesday", "Thursday", "Saturday"):
        try:
            slot = data.book_slot.invoke({"flat_id": flat["id"], "day": day})
            break
        except ValueError:
            continue  # taken: the next day may do
    update = _exchange(state, _MODELS["small"].invoke(_prompt("viewing", state, slot)))
    wish = _wants(update)
    return Command(update=update, goto="submitted" if wish == "apply" else "escalate" if wish == "human" else "__end__")


def submitted(state: SearchState) -> dict[str, Any]:
    flat = state["shortlist"][0]
    number = data.send_application.invoke({"flat_id": flat["id"], "rent": flat["rent"]})
    said = _MODELS["small"].invoke(_prompt("confirm", state, number))
    return {"application": number, "messages": [said]}


def escalate(state: SearchState) -> dict[str, Any]:
    ticket = data.open_ticket.invoke({"reason": state["messages"][-1].text})
    return {"messages": [_MODELS["small"].invoke(_prompt("hand_over", state, ticket))]}


# --- the graph ---


_SEARCHES = ["search_listings", "search_agencies"]
_ALWAYS_POSSIBLE = {"nothing": END, "human": "escalate"}


def _after_greet(state: SearchState) -> str:
    return _ALWAYS_POSSIBLE.get(_wants(state), "qualify")


def _after_qualify(state: SearchState) -> str | list[str]:
    complete = state["brief"]["max_rent"] is not None
    return _ALWAYS_POSSIBLE.get(_wants(state)) or (_SEARCHES if complete else "qualify")


def _after_rank(state: SearchState) -> str:
    found = {"see": "book_viewing"} if state["shortlist"] else {}
    return (_ALWAYS_POSSIBLE | found).get(_wants(state), "refine")


def build_graph(**compile_options: Any) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The agent, compiled; `compile_options` go to LangGraph (a checkpointer, say)."""
    graph = StateGraph(SearchState)
    for node in (greet, qualify, search_listings, search_agencies, rank, refine, book_viewing, submitted, escalate):
        graph.add_node(node)
    graph.add_edge(START, "greet")
    graph.add_conditional_edges("greet", _after_greet, ["qualify", "escalate", END])
    graph.add_conditional_edges("qualify", _after_qualify, ["qualify", *_SEARCHES, "escalate", END])
    graph.add_edge(_SEARCHES, "rank")
    graph.add_conditional_edges("rank", _after_rank, ["refine", "book_viewing", "escalate", END])
    for search in _SEARCHES:
        graph.add_edge("refine", search)
    graph.add_edge("submitted", END)
    graph.add_edge("escalate", END)
    return graph.compile(name="house_search", **compile_options)


def run_one(graph: CompiledStateGraph[Any, Any, Any, Any], user: User) -> dict[str, Any]:
    """One conversation with one user; raises what the run raises (a few do)."""
    state = {"messages": [HumanMessage(user.opening)], "replies": list(user.replies)}
    config = RunnableConfig(metadata=dict(user.metadata))
    return graph.invoke(state, config)
