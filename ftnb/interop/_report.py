"""What an import or export kept, guessed and left out, field by field, with counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import polars as pl

How = Literal["mapped", "guessed", "left out"]
Told = tuple[How, str, str]
"""How a field fared, its name, and where it went or why not."""
_MAX_FIELDS = 1_000
_SHOWN = 12
_MAX_ERRORS = 10_000
_MAX_TEXT = 200


@dataclass
class Report:
    """What became of the fields of a file. `frame()` is one row a field; in a notebook it is a table."""

    format: str
    source: str
    counts: Counter[str] = field(default_factory=Counter)
    """How many of what were read, written, or there already."""
    _fields: Counter[Told] = field(default_factory=Counter)
    _errors: list[tuple[str, int | None, str, str]] = field(default_factory=list)
    n_errors: int = 0
    """Items that could not be read; the first 10,000 are listed in `errors()`."""

    def add(self, how: How, name: str, to: str = "", n: int = 1) -> None:
        """Count `n` fields of that name; of very many names the rest is counted together."""
        key = (how, name if len(name) <= _MAX_TEXT else name[: _MAX_TEXT - 1] + "…", to)
        if key not in self._fields and len(self._fields) >= _MAX_FIELDS:
            key = (how, "(other fields)", "")
        self._fields[key] += n

    def add_all(self, fields: Iterable[Told]) -> None:
        """Count each of `fields` once."""
        known = self._fields
        for one in fields:
            if one in known:
                known[one] += 1
            else:
                self.add(*one)

    def bad(self, line: int | None, reason: str, item: object = "") -> None:
        """An item could not be read."""
        self.n_errors += 1
        if len(self._errors) < _MAX_ERRORS:
            text = item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
            self._errors.append((self.source, line, reason, text[:_MAX_TEXT]))

    def frame(self) -> pl.DataFrame:
        """One row a field: `field`, `how` (mapped, guessed, left out), `to` (where it went, or why not), `n`."""
        import polars as pl

        order = {"mapped": 0, "guessed": 1, "left out": 2}
        rows = sorted(self._fields.items(), key=lambda one: (order[one[0][0]], one[0][1], one[0][2]))
        data = {
            "field": [key[1] for key, _ in rows],
            "how": [key[0] for key, _ in rows],
            "to": [key[2] for key, _ in rows],
            "n": [n for _, n in rows],
        }
        return pl.DataFrame(data, schema={"field": pl.String, "how": pl.String, "to": pl.String, "n": pl.Int64})

    def errors(self) -> pl.DataFrame:
        """One row an item that could not be read: `file`, `line` (null: not known), `reason`, `text` (its start)."""
        import polars as pl

        schema = {"file": pl.String, "line": pl.Int64, "reason": pl.String, "text": pl.String}
        return pl.DataFrame(self._errors, schema=schema, orient="row")

    def __getitem__(self, how: How) -> dict[str, int]:
        """Fields and how often they were mapped, guessed or left out: `report["left out"]`."""
        found: Counter[str] = Counter()
        for (kept, name, _), n in self._fields.items():
            if kept == how:
                found[name] += n
        return dict(found)

    def __repr__(self) -> str:
        parts = [f"{n} {what}" for what, n in self.counts.items()]
        parts += [f"{len(self[how])} fields {how}" for how in ("mapped", "guessed", "left out") if self[how]]
        if self.n_errors:
            parts.append(f"{self.n_errors} items that could not be read")
        return f"<{self.format} of {self.source}: {', '.join(parts) or 'nothing'}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._html()}

    def _html(self) -> str:
        parts = [f"<p><b>{escape(repr(self)[1:-1])}</b></p>"]
        frame = self.frame()
        for how in ("left out", "guessed", "mapped"):
            rows = [row for row in frame.iter_rows() if row[1] == how]
            if not rows:
                continue
            rows.sort(key=lambda row: -row[3])
            cells = "".join(
                f"<tr><td>{escape(name)}</td><td>{escape(to)}</td><td>{n:,}</td></tr>" for name, _, to, n in rows
            )
            is_open = " open" if how != "mapped" and len(rows) <= _SHOWN else ""
            head = "<tr><th>field</th><th>where it went, or why</th><th>n</th></tr>"
            parts.append(
                f"<details{is_open}><summary>{how}: {len(rows)} fields</summary>"
                f"<table><thead>{head}</thead><tbody>{cells}</tbody></table></details>"
            )
        return "".join(parts)
