"""Tools that a model may choose among.

A tool is an `AgentTool`; a typed Python function and a LangChain tool are taken as well, and made into one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from .core.errors import InvalidArgumentError

__all__ = ["AgentTool", "as_tool", "as_tools"]

Handler = Callable[[dict[str, Any], Any], Any]
"""`handler(args, ctx)`, sync or async; its result goes to the model and so should be plain JSON values."""


@dataclass
class AgentTool:
    """Something that the model can have done, and the code that does it."""

    name: str
    description: str
    """When to use it, for the model to read."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """JSON schema of the arguments."""
    handler: Handler | None = None
    timeout: float | None = None
    """Seconds after which a call is given up and the model told so; None: never. A sync handler that has one runs in a
    thread, which goes on by itself after that."""

    def spec(self) -> dict[str, Any]:
        """What the model is told about it."""
        return {"name": self.name, "description": self.description, "parameters": self.parameters}

    async def invoke(self, args: dict[str, Any], ctx: Any) -> Any:
        """Call the handler and await what it returns, where that is awaitable. Passes on whatever it raises."""
        if self.handler is None:
            raise InvalidArgumentError(f"tool {self.name!r} has no handler")
        result = self.handler(args, ctx)
        return await result if inspect.isawaitable(result) else result

    def check(self, args: Any) -> None:
        """Raise InvalidArgumentError, in words for the model, when `args` do not fit `parameters`.

        Checked are required arguments, types and enumerations at the top; nested values are the handler's business.
        """
        if not isinstance(args, Mapping):
            raise InvalidArgumentError(f"the arguments must be a JSON object, not {type(args).__name__}")
        properties = self.parameters.get("properties") or {}
        missing = [name for name in self.parameters.get("required") or () if name not in args]
        problems = [f"{name!r} is missing" for name in missing]
        for name, value in args.items():
            problem = _problem(value, properties.get(name))
            if problem:
                problems.append(f"{name!r} {problem}")
        if problems:
            known = ", ".join(map(repr, properties)) or "none"
            raise InvalidArgumentError(f"{'; '.join(problems)}. {self.name} takes: {known}")


def as_tools(given: Iterable[Any]) -> list[AgentTool]:
    """Each of `given` as a tool. Raises InvalidArgumentError when two have one name."""
    tools = [as_tool(one) for one in given]
    names = [tool.name for tool in tools]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InvalidArgumentError(f"two tools have the name {doubled[0]!r}; the tools: {', '.join(names)}")
    return tools


def as_tool(given: Any) -> AgentTool:
    """`given` as a tool: an AgentTool as it is; a LangChain tool; or a function, whose signature and docstring tell the
    model about it. A parameter named `ctx` is given the step's context and kept from the model.

    Raises InvalidArgumentError for anything else.
    """
    if isinstance(given, AgentTool):
        return given
    if hasattr(given, "ainvoke") and isinstance(getattr(given, "name", None), str):
        return _of_langchain(given)
    if callable(given) and hasattr(given, "__name__"):
        return _of_function(given)
    raise InvalidArgumentError(
        f"{given!r:.100} is no tool: give an ftnb.agent.AgentTool, a typed Python function, or a LangChain tool"
    )


# --- functions ---


def _of_function(function: Callable[..., Any]) -> AgentTool:
    name = function.__name__
    model, takes_ctx = _arguments_of(function)
    schema = model.model_json_schema()
    schema.pop("title", None)

    def handler(args: dict[str, Any], ctx: Any) -> Any:
        try:
            read = model.model_validate(args)
        except ValidationError as error:
            raise InvalidArgumentError(_readable(error)) from error
        values = {field: getattr(read, field) for field in model.model_fields}
        return function(**values, ctx=ctx) if takes_ctx else function(**values)

    return AgentTool(name, inspect.getdoc(function) or name.replace("_", " "), schema, handler)


def _arguments_of(function: Callable[..., Any]) -> tuple[type[BaseModel], bool]:
    name = function.__name__
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise InvalidArgumentError(f"the type hints of tool {name!r} cannot be read: {error}") from error
    fields: dict[str, Any] = {}
    takes_ctx = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "ctx":
            takes_ctx = True
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise InvalidArgumentError(
                f"tool {name!r} has the parameter {parameter}, which a model cannot fill in: give it named parameters, "
                "or wrap it in an AgentTool"
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints.get(parameter.name, Any), default)
    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields), takes_ctx


def _readable(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in error.errors())


# --- LangChain tools ---


def _of_langchain(tool: Any) -> AgentTool:
    from langchain_core.utils.function_calling import convert_to_openai_tool

    told = convert_to_openai_tool(tool)["function"]

    async def handler(args: dict[str, Any], ctx: Any) -> Any:
        return await tool.ainvoke(args)

    return AgentTool(told["name"], told.get("description") or told["name"], told.get("parameters") or {}, handler)


# --- a small part of JSON schema ---

_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())
    ),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, (list, tuple)),
    "object": lambda value: isinstance(value, Mapping),
    "null": lambda value: value is None,
}


def _problem(value: Any, schema: Any) -> str | None:
    if not isinstance(schema, Mapping):
        return None
    if "enum" in schema and value not in schema["enum"]:
        return f"is {value!r}, not one of {', '.join(map(repr, schema['enum']))}"
    wanted = schema.get("type")
    kinds: Sequence[str] = [wanted] if isinstance(wanted, str) else wanted or ()
    if kinds and not any(_TYPES.get(kind, lambda _: True)(value) for kind in kinds):
        return f"is {value!r}, not of type {' or '.join(kinds)}"
    return None
