"""A recorded run as a test: a short Python file that people can read, and beside it what was said and done then."""

from __future__ import annotations

import json
import re
import sys
from os import PathLike
from pathlib import Path
from typing import Any

import orjson

from ..core._version import __version__
from ..core.canonical import to_json
from ..core.errors import InvalidArgumentError, NotOurFileError, ReplayError, SchemaVersionError
from ..store.base import LogStore
from ._graphs import live_graph
from ._recorded import COLUMNS, READ_TYPES, Recorded, load, rows_of

FORMAT, VERSION = "ftnb recorded run", 1
_GRAPH = re.compile(r"^(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)(?P<call>\(\))?$")
_TEST = '''"""A recorded run of {title}, replayed on the code of today.

What models, tools and people said then is in {data}, beside this file: nothing is called.
Then it went: {way}.
"""

from __future__ import annotations

from pathlib import Path

import ftnb
from {module} import {name}

RECORDED = Path(__file__).with_name({data!r})


def test_{function}() -> None:
    result = ftnb.replay_all(RECORDED, {name}{call}, progress=False{ignored})
    assert result, result.describe()
'''


def write_test(
    store: LogStore,
    engagement_id: str,
    path: str | PathLike[str],
    *,
    graph: Any = None,
    ignore: tuple[str, ...] | list[str] = (),
    overwrite: bool = False,
) -> Path:
    """Write the test and its data; see `EngagementHandle.to_pytest`."""
    recorded = load(store, engagement_id)
    target = _target(Path(path), recorded)
    found = _GRAPH.match(graph if isinstance(graph, str) else _importable(live_graph(recorded, graph)))
    if found is None:
        raise InvalidArgumentError(
            f"graph={graph!r} does not say where the test finds its graph: 'package.module:app', or "
            "'package.module:build()' for a function that makes it"
        )
    data = target.with_suffix(".json")
    for file in (target, data):
        if file.exists() and not overwrite:
            raise InvalidArgumentError(f"{file} is there already; pass overwrite=True to write it anew")
    target.parent.mkdir(parents=True, exist_ok=True)
    data.write_bytes(orjson.dumps(_as_data(store, recorded), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
    target.write_text(
        _TEST.format(
            title=_one_line(recorded.name),
            data=data.name,
            way=_way(recorded),
            module=found["module"],
            name=found["name"],
            call=found["call"] or "",
            function=f"{_identifier(target.stem.removeprefix('test_'))}_goes_as_recorded",
            ignored=f", ignore={list(ignore)!r}" if ignore else "",
        ),
        encoding="utf-8",
    )
    return target


def read_run(path: Path) -> Recorded:
    """The engagement in a file that `write_test` wrote. Raises NotOurFileError, SchemaVersionError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.get("format") != FORMAT:
            raise ValueError("no recorded run")
        if data["version"] > VERSION:
            raise SchemaVersionError(f"{path} was written by a newer ftnb ({data.get('written_by')}); update this one")
        rows = [tuple(record.get(name) for name in COLUMNS) for record in data["records"]]
        return Recorded(str(data["engagement_id"]), lambda _: None).take(rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, SchemaVersionError):
            raise
        raise NotOurFileError(f"{path} holds no recorded run as to_pytest writes it ({error})") from None


def _as_data(store: LogStore, recorded: Recorded) -> dict[str, Any]:
    table = store.scan(COLUMNS, types=READ_TYPES, engagement_id=recorded.id)
    records = []
    for row in rows_of(table):
        record = {name: value for name, value in zip(COLUMNS, row, strict=True) if value is not None}
        record.pop("commitment", None)
        body = record.get("body")
        if body is not None:
            whole = {
                name: to_json(recorded.value(part)) for name, part in orjson.loads(body).items() if name != "@code"
            }
            record["body"] = whole
        records.append(record)
    return {
        "format": FORMAT, "version": VERSION, "written_by": __version__, "engagement_id": recorded.id,
        "name": recorded.name, "records": records,
    }  # fmt: skip


def _target(path: Path, recorded: Recorded) -> Path:
    if path.is_dir() or not path.suffix:  # a folder that is not there yet is made
        path = path / f"test_{_identifier(recorded.name)}.py"
    if path.suffix != ".py" or not path.name.startswith("test_"):
        raise InvalidArgumentError(f"{path} is no name that pytest collects; give a folder, or test_….py")
    return path


def _importable(graph: Any) -> str:
    """Where a live graph can be imported from. Raises ReplayError."""
    for module_name, module in sorted(sys.modules.items()):
        if module_name == "__main__" or not hasattr(module, "__dict__"):
            continue
        for name, value in list(vars(module).items()):
            if value is graph and not name.startswith("_"):
                return f"{module_name}:{name}"
    raise ReplayError(
        "the graph is in no module that a test could import (a notebook is none): put it into a file, and say where: "
        "eng.to_pytest(path, graph='my_agent:app')"
    )


def _way(recorded: Recorded) -> str:
    names = [task.name for task in recorded.tasks if task.parent_id is None]
    shown = " -> ".join(names[:20])
    return f"{shown} -> … ({len(names)} steps)" if len(names) > 20 else shown or "nowhere"


def _identifier(text: str) -> str:
    return re.sub(r"\W+", "_", text.lower()).strip("_") or "run"


def _one_line(text: str) -> str:
    return " ".join(text.replace("\\", "/").replace('"', "'").split())
