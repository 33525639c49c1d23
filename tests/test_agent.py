"""Tools: as declared, from functions, from LangChain."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from langchain_core.tools import tool
from pydantic import BaseModel, Field

import ftnb
from ftnb.agent import AgentTool, as_tool, as_tools


class Area(BaseModel):
    name: str
    stations: list[str] = []


def search(
    area: Area, kind: Literal["room", "house"] = "room", limit: Annotated[int, Field(ge=1, description="how many")] = 3
) -> dict[str, Any]:
    """Search what is to let.

    In one area.
    """
    return {"area": area.name, "kind": kind, "limit": limit}


async def test_a_function_becomes_a_tool() -> None:
    made = as_tool(search)
    assert (made.name, made.description) == ("search", "Search what is to let.\n\nIn one area.")
    assert made.parameters["required"] == ["area"]
    properties = made.parameters["properties"]
    assert properties["kind"]["enum"] == ["room", "house"]
    assert (properties["limit"]["description"], properties["limit"]["default"]) == ("how many", 3)
    assert await made.invoke({"area": {"name": "Nakano"}}, None) == {"area": "Nakano", "kind": "room", "limit": 3}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({}, "area: Field required"),
        ({"area": {"name": 3}}, r"area\.name: Input should be a valid string"),
        ({"area": {"name": "x"}, "limit": 0}, "limit: Input should be greater than or equal to 1"),
        ({"area": {"name": "x"}, "color": "red"}, "color: Extra inputs are not permitted"),
    ],
)
async def test_wrong_arguments_are_told_in_words(args: dict[str, Any], said: str) -> None:
    with pytest.raises(ftnb.InvalidArgumentError, match=said):
        await as_tool(search).invoke(args, None)


async def test_the_context_is_kept_from_the_model() -> None:
    async def who(name: str, ctx: Any) -> str:
        return f"{name} {ctx}"

    made = as_tool(who)
    assert list(made.parameters["properties"]) == ["name"]
    assert await made.invoke({"name": "a"}, "the context") == "a the context"


def test_functions_that_a_model_cannot_call_are_refused() -> None:
    def many(*names: str) -> None: ...

    with pytest.raises(ftnb.InvalidArgumentError, match=r"'many' has the parameter \*names"):
        as_tool(many)
    with pytest.raises(ftnb.InvalidArgumentError, match="is no tool"):
        as_tool("search")


async def test_a_langchain_tool_becomes_one() -> None:
    @tool
    def add(a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    made = as_tool(add)
    assert (made.name, made.description, made.parameters["required"]) == ("add", "Add.", ["a"])
    assert await made.invoke({"a": 1}, None) == 2


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ftnb.InvalidArgumentError, match="two tools have the name 'search'"):
        as_tools([search, AgentTool("search", "again")])


async def test_a_tool_without_a_handler_says_so() -> None:
    with pytest.raises(ftnb.InvalidArgumentError, match="'x' has no handler"):
        await AgentTool("x", "does nothing").invoke({}, None)


async def test_handlers_may_be_sync_or_async() -> None:
    async def later(args: dict[str, Any], ctx: Any) -> int:
        return 2

    assert await AgentTool("a", "", {}, lambda args, ctx: 1).invoke({}, None) == 1
    assert await AgentTool("b", "", {}, later).invoke({}, None) == 2
    assert await AgentTool("c", "", {}, lambda args, ctx: later(args, ctx)).invoke({}, None) == 2


@pytest.mark.parametrize(
    ("schema", "value", "fits"),
    [
        ({"type": "integer"}, 3, True),
        ({"type": "integer"}, 3.0, True),
        ({"type": "integer"}, 3.5, False),
        ({"type": "integer"}, True, False),
        ({"type": "number"}, 3, True),
        ({"type": "string"}, 3, False),
        ({"type": ["string", "null"]}, None, True),
        ({"type": "array"}, [], True),
        ({"type": "object"}, [], False),
        ({"type": "boolean"}, 0, False),
        ({"enum": ["a", "b"]}, "c", False),
        ({"type": "something new"}, object(), True),
        ({}, object(), True),
    ],
)
def test_declared_types_are_checked(schema: dict[str, Any], value: Any, fits: bool) -> None:
    made = AgentTool("t", "", {"type": "object", "properties": {"x": schema}})
    if fits:
        made.check({"x": value})
    else:
        with pytest.raises(ftnb.InvalidArgumentError, match="'x' is"):
            made.check({"x": value})


def test_a_missing_argument_is_named_with_those_there_are() -> None:
    schema = {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]}
    with pytest.raises(ftnb.InvalidArgumentError, match=r"'a' is missing\. t takes: 'a', 'b'"):
        AgentTool("t", "", schema).check({"b": 1})
