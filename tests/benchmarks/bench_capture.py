"""What recording costs an agent: over bare LangGraph, over an empty callback handler, and beside other tracers.

    python tests/benchmarks/bench_capture.py [quick] [no-peers]

Variants take turns in random order. A ratio is the median of the ratios within each round; its quartiles stand beside
it. What is timed is the agent's run. A run before it makes everything warm, and what that left to be written is written
first; what the timed runs leave to be written is written after them, untimed, before the next variant's turn: it is the
writer thread's, while an agent waits for its model. What it comes to where an agent never waits is a line of its own
("until all is written"). The same holds for peers, which export in threads of their own. They are installed on demand,
each into an environment of its own under build/bench-envs; one that cannot be installed is said so and left out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from langchain_core.callbacks import BaseCallbackHandler  # noqa: E402
from langchain_core.tracers import context  # noqa: E402

import ftnb  # noqa: E402
from tests.benchmarks import _agents  # noqa: E402
from tests.benchmarks._tools import Line, Times, added, interleaved, ratio, ratios, show  # noqa: E402

PACKAGES = {
    "flowtraicer": ["flowtraicer==0.11.1", "langgraph"],
    "mlflow": ["mlflow", "langgraph", "langchain"],
    "openinference": ["openinference-instrumentation-langchain", "opentelemetry-sdk", "langgraph"],
}
ALLOWED = {"flowtraicer": 1 / 100, "mlflow": 1 / 20, "openinference": 1 / 10}
"""Added time per step, as a part of theirs."""


class Empty(BaseCallbackHandler):
    """The least that a callback handler can be."""

    run_inline = True

    def on_chain_start(self, *_: Any, **__: Any) -> None: ...
    def on_chain_end(self, *_: Any, **__: Any) -> None: ...
    def on_chain_error(self, *_: Any, **__: Any) -> None: ...
    def on_chat_model_start(self, *_: Any, **__: Any) -> None: ...
    def on_llm_end(self, *_: Any, **__: Any) -> None: ...
    def on_tool_start(self, *_: Any, **__: Any) -> None: ...
    def on_tool_end(self, *_: Any, **__: Any) -> None: ...


def overhead(folder: Path, app: Any, runs: int, is_async: bool, rounds: int) -> tuple[Times, Times]:
    """Times of a block of runs by variant: on the clock, and of the main thread's processor time."""
    cpu: Times = {"bare": [], "empty": [], "ftnb": []}
    written: list[float] = []
    handler = Empty()

    def bare() -> float:
        return timed("bare")

    def timed(variant: str, settle: Callable[[float], object] = bool) -> float:
        _agents.timed(app, 1, is_async)
        settle(60)
        wall, processor = _agents.timed(app, runs, is_async)
        cpu[variant].append(processor)
        return wall

    def empty() -> float:
        context.register_configure_hook(ContextVar("empty", default=handler), True)
        hook = context._configure_hooks[-1]
        try:
            return timed("empty")
        finally:
            context._configure_hooks.remove(hook)

    def recorded() -> float:
        session = ftnb.start(folder / "overhead.db")
        try:
            took = timed("ftnb", session.recorder.flush)
            begun = time.perf_counter()
            session.recorder.flush(60)
            written.append(took + time.perf_counter() - begun)
            return took
        finally:
            ftnb.stop()

    wall = interleaved({"bare": bare, "empty": empty, "ftnb": recorded}, rounds)
    wall["written"] = written
    return wall, cpu


def over_bare(folder: Path, rounds: int) -> list[Line]:
    """The lines that compare with bare LangGraph."""
    lines, own, whole = [], [], []
    cases: list[tuple[str, Callable[[bool], Any], tuple[float, float], int]] = [
        ("20 no-op nodes", lambda is_async: _agents.chain(20, is_async), (1.10, 1.12), 10),
        ("5 nodes x (2 LLM + 3 tool calls)", _agents.agent, (1.08, 1.15), 4),
    ]
    for name, build, reach, runs in cases:
        for is_async, allowed in zip((False, True), reach, strict=True):
            wall, cpu = overhead(folder, build(is_async), runs, is_async, rounds)
            by_clock = ratio(wall, "ftnb", "bare")
            kind = "async" if is_async else "sync"
            own_time = f"{ratio(cpu, 'ftnb', 'bare'):.2f}, of which an empty handler {ratio(cpu, 'empty', 'bare'):.2f}"
            measured = f"{ratios(wall, 'ftnb', 'bare')}; main thread's own time {own_time}"
            whole.append(Line(f"{name}, {kind}, until all is written", "", ratios(wall, "written", "bare")))
            lines.append(Line(f"{name}, {kind}, time over bare", f"<= {allowed:.2f}", measured, by_clock <= allowed))
            ours, handler = added(cpu, "ftnb", "bare"), added(cpu, "empty", "bare")
            lead = "the noise is larger than the handler" if handler <= 0 else f"{(ours - handler) / handler:.1f} x"
            own.append(
                Line(
                    f"{name}, {kind}, main thread added over an empty handler",
                    "<= 2 x the handler's own",
                    f"{lead} ({ours / runs * 1e6:.0f} against {handler / runs * 1e6:.0f} us a run)",
                    None if handler <= 0 else ours - handler <= 2 * handler,
                )
            )
    return lines + own + whole


# --- peers ---


def environment(name: str) -> Path | None:
    """The Python of a peer's own environment, installed now if it is not yet; None: it cannot be."""
    folder = ROOT / "build" / "bench-envs" / name
    python = folder / "bin" / "python"
    if (folder / ".ready").exists() or _ready(python, name):
        return python
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    for command in ([uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder)],
                    [uv, "pip", "install", "-q", "--python", str(python), *PACKAGES[name]]):  # fmt: skip
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{name} cannot be installed: {getattr(error, 'stderr', error)}")
            return None
    (folder / ".ready").touch()
    return python


def _ready(python: Path, name: str) -> bool:
    module = {"flowtraicer": "ft", "mlflow": "mlflow", "openinference": "openinference.instrumentation.langchain"}[name]
    return python.exists() and subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0


class Process:
    """A tracer in a process of its own; see `_peer`."""

    def __init__(self, python: str, name: str, folder: Path) -> None:
        command = [python, "-W", "ignore", str(Path(__file__).with_name("_peer.py")), name, str(folder)]
        self._log = (folder / f"{name}.log").open("w+")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self.failed = self._answer() != "ready"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def why(self) -> str:
        """The end of what it said."""
        self._log.seek(0)
        return self._log.read()[-500:]

    def took(self, state: str, runs: int) -> float:
        """Seconds on the clock of so many runs."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{state} {runs}\n")
        self._process.stdin.flush()
        answer = self._answer()
        if not answer:
            raise RuntimeError(f"a peer died: {self.why()}")
        return float(answer.split()[0])

    def end(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def peers(folder: Path, rounds: int) -> list[Line]:
    """Added time per step of ftnb and of every peer that can be installed, all taking turns."""
    processes = {"ftnb": Process(sys.executable, "ftnb", folder)}
    missing = []
    for name in PACKAGES:
        python = environment(name)
        process = None if python is None else Process(str(python), name, folder)
        if process is None or process.failed:
            missing.append(Line(f"added time against {name}", f"<= 1/{1 / ALLOWED[name]:.0f}", "not installed here"))
            if process is not None:
                print(f"{name} does not start: {process.why()}")
        else:
            processes[name] = process
    runs = {"ftnb": 20, "openinference": 10, "mlflow": 3, "flowtraicer": 2}
    variants: dict[str, Callable[[], float]] = {}
    for name, process in processes.items():
        for state in ("on", "off"):
            process.took(state, 1)
            variants[f"{name} {state}"] = lambda process=process, state=state, n=runs[name]: (
                process.took(state, n) / n / 20
            )
    try:
        times = interleaved(variants, rounds)
    finally:
        for process in processes.values():
            process.end()
    cost = {name: added(times, f"{name} on", f"{name} off") * 1e6 for name in processes}
    lines = []
    for name in processes:
        if name == "ftnb":
            continue
        figures = f"({cost['ftnb']:.0f} against {cost[name]:,.0f} us a step)"
        is_measured = min(cost["ftnb"], cost[name]) > 0
        part = cost["ftnb"] / cost[name] if is_measured else 0.0
        measured = f"1/{1 / part:.0f} {figures}" if is_measured else f"the noise is larger than either {figures}"
        reach = f"<= 1/{1 / ALLOWED[name]:.0f}"
        lines.append(
            Line(
                f"added time against {name}, async chain",
                reach,
                measured,
                part <= ALLOWED[name] if is_measured else None,
            )
        )
    return lines + missing


# --- bytes ---


def stored(folder: Path, steps: int) -> int:
    """Bytes of the file after a chat of so many steps, over an empty store's."""
    sizes = []
    for name, n in (("empty.db", 0), (f"chat{steps}.db", steps)):
        session = ftnb.start(folder / name)
        if n:
            first = [_agents.AIMessage("x" * 1000, id="m0")]
            _agents.conversation(n).invoke({"messages": first}, {"recursion_limit": n + 10})
            session.recorder.flush(60)
            assert len(ftnb.last().steps) == n, session.stats()
        ftnb.stop()
        sizes.append((folder / name).stat().st_size)
    return sizes[1] - sizes[0]


def growth(folder: Path) -> list[Line]:
    """The lines on what is stored."""
    short, long = stored(folder, 40), stored(folder, 400)
    return [
        Line("chat of 40 steps, 1 kB more each: bytes stored", "<= 110 kB", f"{short / 1e3:.0f} kB", short <= 110_000),
        Line(
            "the same with 400 steps", "<= 11 x that", f"{long / 1e3:.0f} kB, {long / short:.1f} x", long <= 11 * short
        ),
    ]  # fmt: skip


def main(rounds: int, with_peers: bool) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        lines = growth(folder) + over_bare(folder, rounds)
        if with_peers:
            lines += peers(folder, max(rounds // 3, 5))
    show("capture", lines)


if __name__ == "__main__":
    main(10 if "quick" in sys.argv[1:] else 40, "no-peers" not in sys.argv[1:])
