"""What came of a replay."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

from ..core.canonical import encode_json, to_json
from ..core.errors import ReplayError
from ..store.base import LogStore
from ._branch import Branch
from ._compare import changed
from ._recorded import Recorded, Task, load

if TYPE_CHECKING:
    import polars as pl

    from ._diff import EngagementDiff


class Replay:
    """One step, run again; beside the recorded one. Each repetition is an engagement of its own: `branches`."""

    def __init__(
        self,
        store: LogStore,
        recorded: Recorded,
        task: Task,
        made: list[tuple[Branch, float]],
        opened: Callable[[LogStore, str], Any],
    ) -> None:
        self._recorded, self._task = recorded, task
        self._made = made
        self.original = opened(store, recorded.id).step(task.step_id)
        """The recorded step."""
        self.branches = [opened(one.store, one.engagement_id) for one, _ in made]
        """The engagements that were made, one a repetition; `parent_id` of each is the original's."""
        self._runs = [load(one.store, one.engagement_id) for one, _ in made]
        self._tasks: dict[int, Task] = {}

    @property
    def branch(self) -> Any:
        """The engagement of the last repetition."""
        return self.branches[-1]

    @property
    def step(self) -> Any:
        """The step of the last repetition."""
        return self.branch.step(self._task_at(-1).step_id)

    def _found(self, place: int) -> Task:
        """The step of a repetition, the last attempt of it."""
        found = [task for task in self._runs[place].tasks if task.name == self._task.name]
        top = [task for task in found if self._task.is_called or task.parent_id is None]
        if not top:
            error = self._made[place][0].error
            raise ReplayError(
                f"the node of step {self._task} did not run in the branch {self._runs[place].id}"
                + (f": {type(error).__name__}: {error}" if error is not None else "")
            )
        return max(top, key=lambda task: (task.visit == self._task.visit, task.attempt))

    def _output(self, place: int = -1) -> Any:
        return self._runs[place].value(self._task_at(place).update)

    def _task_at(self, place: int) -> Task:
        if place not in self._tasks:
            self._tasks[place] = self._found(place)
        return self._tasks[place]

    @property
    def output(self) -> Any:
        """What the node returned this time."""
        return self._output()

    @property
    def status(self) -> str:
        """completed, failed, or waiting (for an answer that nobody gave)."""
        return self._task_at(-1).status

    @property
    def error(self) -> str | None:
        """The message of what the node raised; None: it did not."""
        return self._task_at(-1).error

    @property
    def decisions(self) -> dict[str, Any]:
        """What the routers after the node said this time."""
        return dict(self._task_at(-1).decisions)

    @property
    def is_same(self) -> bool:
        """Whether the node returned what it returned then, and its routers decided the same."""
        return self._is_same(-1)

    def _is_same(self, place: int) -> bool:
        return not self._differences(place)

    def diff(self) -> dict[str, tuple[Any, Any]]:
        """What is other than then: {key of the output: (then, now)}; also `(status)`, `(routes)` and `(error)`.

        Ids of messages, and what providers report beside them, are not compared. `compare()` tells more.
        """
        return self._differences(-1)

    def compare(self, place: int = -1) -> EngagementDiff:
        """The engagement and the branch of a repetition as `ftnb.diff` compares them: `.frame()`, `.figure()`,
        `.widget()`. Steps that were not run again count as shared."""
        from ._diff import diff

        found: EngagementDiff = diff(self.original.engagement, self.branches[place])
        return found

    def _differences(self, place: int) -> dict[str, tuple[Any, Any]]:
        now, then = self._task_at(place), self._task
        found = changed(self._recorded.value(then.update), self._output(place))
        for name, pair in {
            "(status)": (then.status, now.status),
            "(routes)": (dict(then.decisions), dict(now.decisions)),
            "(error)": (then.error, now.error),
        }.items():
            if pair[0] != pair[1]:
                found[name] = pair
        return found

    def frame(self) -> pl.DataFrame:
        """One row a repetition: how it ended, whether it is as then, output as JSON text, time, tokens, calls."""
        import polars as pl

        rows = []
        for at, (made, elapsed) in enumerate(self._made):
            task, calls = self._task_at(at), made.cassette.n_by_how()
            rows.append({
                "repetition": at + 1,
                "engagement_id": made.engagement_id,
                "status": task.status,
                "is_same": self._is_same(at),
                "output": encode_json(to_json(self._output(at))).decode(),
                "decisions": encode_json(to_json(dict(task.decisions))).decode(),
                "error": task.error,
                "duration_ms": elapsed,
                "total_tokens": sum(call.tokens[2] for call in task.calls if call.tokens),
                "n_calls_recorded": calls.get("recorded", 0),
                "n_calls_live": calls.get("live", 0),
            })  # fmt: skip
        return pl.DataFrame(rows, schema=_schema())

    def __repr__(self) -> str:
        times = f", {len(self.branches)} times" if len(self.branches) > 1 else ""
        n_same = sum(map(self._is_same, range(len(self._made))))
        verdict = "as then" if n_same == len(self.branches) else f"{n_same} of {len(self.branches)} as then"
        if len(self.branches) == 1 and not n_same:
            verdict = "other than then: " + (", ".join(map(str, self.diff())) or "nothing in the output")
        return f"<Replay of {self._task}{times}: {self.status}, {verdict}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(str(key))}</td><td><pre>{escape(_short(then))}</pre></td>"
            f"<td><pre>{escape(_short(now))}</pre></td></tr>"
            for key, (then, now) in self.diff().items()
        )
        head = f"<p>{escape(repr(self))}</p>"
        if len(self.branches) > 1:
            return head + str(self.frame()._repr_html_())
        if not rows:
            return head
        title = "<thead><tr><th></th><th>then</th><th>now</th></tr></thead>"
        return f"{head}<table>{title}<tbody>{rows}</tbody></table>"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 2_000 else f"{text[:2_000]}… ({len(text)} characters)"


def _schema() -> dict[str, Any]:
    import polars as pl

    whole, text = pl.Int64, pl.String
    return {
        "repetition": whole, "engagement_id": text, "status": text, "is_same": pl.Boolean, "output": text,
        "decisions": text, "error": text, "duration_ms": pl.Float64, "total_tokens": whole,
        "n_calls_recorded": whole, "n_calls_live": whole,
    }  # fmt: skip
