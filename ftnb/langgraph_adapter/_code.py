"""The code of a graph, as it stands when the graph first runs: its nodes, routers and tools, and how its state merges.

Read once per graph object, on the writer's thread. An engagement's start names the version that ran:

    "code": "<version>"         a hash over everything below: the same code at the same place
    "@code": {"version", "nodes": [{"node", …}], "routers": [{"node", "router", …}], "tools": [{"tool", …}],
              "graphs": [{"graph", "channels": [[name, kind, reducer | null]], "reads": [[node, [channel]]]}]}

`@code` holds the text, so it is written where a session first uses a version and again every few hundred engagements:
a purge of old engagements does not take it away, and no engagement pays for it twice. Function entries are

    {"qualname", "module", "file", "line", "cell": execution count | null, "sha256", "source": text | null}

with `sha256` over the text. `source` is null for what has no Python text: built-ins, runnables made of parts.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import sys
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..core.canonical import dumps

_MAX_DEPTH = 8
_MAX_KNOWN = 256
_MAX_TEXT = 200_000
"""Characters of one function's text; a longer one is kept as its hash alone."""
_REPEAT = 256
"""Engagements after which a version's text is written again."""
_HIDDEN = ("__", "branch:", "join:")
Entry = dict[str, Any]


class Codes:
    """Which code each graph of a session runs. Belongs to the writer's thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[Callable[[], Any], Entry]] = OrderedDict()
        self._told: Counter[str] = Counter()

    def of(self, compiled: Any) -> Entry:
        """What the body of a start says of the code of `compiled`: `code`, and sometimes `@code`. Never raises."""
        code = self._read(compiled)
        if code is None:
            return {}
        version = code["version"]
        told = self._told[version]
        self._told[version] += 1
        return {"code": version} if told % _REPEAT else {"code": version, "@code": code}

    def version(self, compiled: Any) -> str | None:
        """The version of the code of `compiled`; None when it cannot be read."""
        code = self._read(compiled)
        return None if code is None else str(code["version"])

    def _read(self, compiled: Any) -> Entry | None:
        known = self._known.get(id(compiled))
        if known is not None and known[0]() is compiled:
            return known[1] or None
        try:
            code: Entry = read_code(compiled)
        except Exception:  # a graph that cannot be read is still recorded, step by step
            code = {}
        try:
            alive: Callable[[], Any] = weakref.ref(compiled)
        except TypeError:
            return code or None
        self._known[id(compiled)] = alive, code
        if code:
            _remember(compiled, code["version"])
        while len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
        return code or None


# --- graphs that are alive, for whoever wants to run a recorded step again ---

_live: OrderedDict[int, tuple[Callable[[], Any], str]] = OrderedDict()


def _remember(compiled: Any, version: str) -> None:
    _live.pop(id(compiled), None)
    _live[id(compiled)] = weakref.ref(compiled), version
    while len(_live) > _MAX_KNOWN:
        _live.popitem(last=False)


def live_graphs(version: str | None = None) -> list[Any]:
    """Graphs of this process that ran while it recorded and are still alive, newest first; of one version if given."""
    found = [(alive(), of) for alive, of in reversed(list(_live.values()))]
    return [compiled for compiled, of in found if compiled is not None and version in (None, of)]


# --- reading ---


def read_code(compiled: Any) -> Entry:
    """The code of a compiled graph and of the graphs inside it; see the module's text for the form."""
    reading = _Reading()
    reading.graph(compiled, "", 0)
    said = {"nodes": reading.nodes, "routers": reading.routers, "tools": reading.tools, "graphs": reading.graphs}
    return {"version": hashlib.sha256(dumps(said)).hexdigest(), **said}


class _Reading:
    """One reading in progress."""

    def __init__(self) -> None:
        self.nodes: list[Entry] = []
        self.routers: list[Entry] = []
        self.tools: list[Entry] = []
        self.graphs: list[Entry] = []

    def graph(self, compiled: Any, prefix: str, depth: int) -> None:
        """Read one graph; `prefix` is the full name of the node that it is inside of, with a slash."""
        builder = getattr(compiled, "builder", None)
        nodes: Mapping[str, Any] = getattr(compiled, "nodes", None) or {}
        self.graphs.append(
            {"graph": prefix.rstrip("/"), "channels": _channels(compiled), "reads": sorted(_reads(nodes))}
        )
        for name, node in nodes.items():
            if name.startswith("__"):
                continue
            bound = node.bound
            self.nodes.append({"node": prefix + name, **describe(_function_of(bound))})
            self._tools(bound)
            for task in _tasks_of(_function_of(bound)):
                self.nodes.append({"node": prefix + name + "/" + _name_of(task), **describe(task.func)})
            for inner in getattr(node, "subgraphs", None) or ():
                if depth < _MAX_DEPTH and inner is not compiled:
                    self.graph(inner, f"{prefix}{name}/", depth + 1)
        for source, branches in getattr(builder, "branches", {}).items():
            for router, branch in branches.items():
                place = {"node": "" if source.startswith("__") else prefix + source, "router": router}
                self.routers.append({**place, **describe(_function_of(branch.path))})

    def _tools(self, bound: Any) -> None:
        by_name = getattr(bound, "tools_by_name", None)
        known = {entry["tool"] for entry in self.tools}
        for name, tool in by_name.items() if isinstance(by_name, Mapping) else ():
            if name not in known:
                self.tools.append({"tool": str(name), **describe(_function_of(tool))})


def _channels(compiled: Any) -> list[list[str | None]]:
    found = []
    for name, channel in (getattr(compiled, "channels", None) or {}).items():
        if not str(name).startswith(_HIDDEN):
            reducer = getattr(channel, "operator", None)
            found.append([str(name), type(channel).__name__, None if reducer is None else _reducer(reducer)])
    return sorted(found, key=lambda one: str(one[0]))


def _reducer(function: Any) -> str:
    """`operator.add`, `langgraph.graph.message.add_messages`, or the full name of the user's own."""
    module, name = getattr(function, "__module__", "") or "", getattr(function, "__qualname__", "")
    if name.startswith("_add_messages_wrapper"):
        name = "add_messages"
    return f"{'operator' if module == '_operator' else module}.{name or type(function).__qualname__}"


def _reads(nodes: Mapping[str, Any]) -> Iterator[list[Any]]:
    for name, node in nodes.items():
        channels = getattr(node, "channels", None)
        if isinstance(channels, (list, tuple)) and not name.startswith("__"):
            yield [name, [str(channel) for channel in channels]]


def _tasks_of(function: Any) -> Iterator[Any]:
    """The tasks of the functional API that an entrypoint can name: in its closure and its globals."""
    plain = inspect.unwrap(function) if callable(function) else None
    code = getattr(plain, "__code__", None)
    if code is None:
        return
    cells = dict(zip(code.co_freevars, plain.__closure__ or (), strict=False))  # type: ignore[union-attr]
    for name in (*code.co_freevars, *code.co_names):
        try:
            value = cells[name].cell_contents if name in cells else plain.__globals__.get(name)  # type: ignore[union-attr]
        except ValueError:  # a cell that is still empty
            continue
        if type(value).__name__ == "_TaskFunction" and callable(getattr(value, "func", None)):
            yield value


def _name_of(task: Any) -> str:
    return str(getattr(task.func, "__name__", None) or getattr(task, "__name__", "task"))


def _function_of(runnable: Any) -> Any:
    """The user's function inside LangGraph's and LangChain's wrappers; the object itself where there is none."""
    for _ in range(10):
        inner = None
        if isinstance(runnable, functools.partial):
            first = runnable.args[1] if getattr(runnable.func, "__name__", "") == "run_in_executor" else runnable.func
            inner = first
        elif not inspect.isroutine(runnable):
            for name in ("func", "afunc", "coroutine"):
                inner = getattr(runnable, name, None)
                if callable(inner):
                    break
        if inner is None or not callable(inner):
            break
        runnable = inner
    return runnable


def describe(function: Any) -> Entry:
    """Where a function stands, and its text as it is now; of an object that is called, that of its class."""
    if inspect.isroutine(function):
        named = shown = inspect.unwrap(function)
    else:
        named, shown = type(function).__call__, type(function)
    code = getattr(named, "__code__", None)
    entry: Entry = {
        "qualname": str(getattr(shown, "__qualname__", None) or type(function).__qualname__),
        "module": str(getattr(shown, "__module__", "") or ""),
        "file": None,
        "line": None,
        "cell": None,
        "sha256": None,
        "source": None,
    }
    if code is None or _is_ours(entry["module"]):
        return entry
    entry["cell"] = _cell_of(code.co_filename)
    entry["file"] = None if entry["cell"] is not None else _shown(code.co_filename)
    entry["line"] = code.co_firstlineno
    try:
        text = inspect.getsource(named)
    except (OSError, TypeError, IndexError, SyntaxError):
        return entry
    entry["sha256"] = sha256_of(text)
    entry["source"] = text if len(text) <= _MAX_TEXT else None
    return entry


def _is_ours(module: str) -> bool:
    """Machinery of the framework, not code of the user."""
    return module.startswith(("langgraph.", "langchain_core.", "langchain.agents."))


def sha256_of(text: str) -> str:
    """The hash of a function's text, as it is recorded."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _cell_of(filename: str) -> int | None:
    """The execution count of the notebook cell that `filename` stands for; None for a real file."""
    shell: Any = getattr(sys.modules.get("IPython.core.interactiveshell"), "InteractiveShell", None)
    if shell is None or not shell.initialized():
        return None
    try:
        number = shell.instance().compile._filename_map.get(filename)
    except AttributeError:
        return None
    return number if isinstance(number, int) else None


def _shown(filename: str) -> str:
    """A path relative to the working directory where it lies below it: a trace need not tell whose machine it was."""
    try:
        relative = os.path.relpath(filename)
    except ValueError:
        return filename
    return filename if relative.startswith("..") else relative
