"""One tracer in a process of its own, for `bench_capture`.

    python _peer.py NAME FOLDER

Reads lines "on RUNS" and "off RUNS", runs the chain of 20 nodes (async) that often with and without its tracer, and
answers with seconds on the clock and of processor time. Files go to FOLDER; nothing goes over the network.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import _agents

Invoke = Callable[[Any], Awaitable[Any]]


class Peer:
    """A tracer that can be switched on and off."""

    def __init__(self, folder: Path) -> None:
        self.app = _agents.chain(20, is_async=True)

    def on(self) -> Invoke:
        """Trace what is run through the answer."""
        return self.app.ainvoke

    def off(self) -> None:
        """Trace no more."""

    def settle(self) -> None:
        """Write what is pending; not timed."""


class Ftnb(Peer):
    """This library, on a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        sys.path.insert(0, str(Path(__file__).parents[2]))
        import ftnb

        self.ftnb, self.path = ftnb, folder / "ftnb.db"

    def on(self) -> Invoke:
        self.session = self.ftnb.start(self.path)
        return self.app.ainvoke

    def settle(self) -> None:
        self.session.recorder.flush(30)

    def off(self) -> None:
        self.ftnb.stop()


class Flowtraicer(Peer):
    """flowtraicer, on a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from ft.langgraph_adapter import run_instrumented
        from ft.recorder import Recorder
        from ft.store.sqlite import SQLiteStore

        self.run, self.recorder = run_instrumented, Recorder(SQLiteStore(str(folder / "flowtraicer.db")))

    def on(self) -> Invoke:
        return lambda given: self.run(self.app, given, self.recorder, name="bench")


class Mlflow(Peer):
    """MLflow's autolog, on its SQLite store."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        os.chdir(folder)
        import mlflow

        self.mlflow = mlflow
        mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
        mlflow.set_experiment("bench")

    def on(self) -> Invoke:
        self.mlflow.langchain.autolog(silent=True)
        return self.app.ainvoke

    def settle(self) -> None:
        flush = getattr(self.mlflow, "flush_trace_async_logging", None)
        if flush is not None:
            flush()

    def off(self) -> None:
        self.mlflow.langchain.autolog(disable=True, silent=True)


class OpenInference(Peer):
    """OpenInference with OpenTelemetry's batch processor; spans are exported to nowhere."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from openinference.instrumentation.langchain import LangChainInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

        class Nowhere(SpanExporter):
            def export(self, spans: Any) -> SpanExportResult:
                return SpanExportResult.SUCCESS

            def shutdown(self) -> None: ...

        self.provider = TracerProvider()
        self.provider.add_span_processor(BatchSpanProcessor(Nowhere()))
        self.instrumentor = LangChainInstrumentor()

    def on(self) -> Invoke:
        self.instrumentor.instrument(tracer_provider=self.provider)
        return self.app.ainvoke

    def settle(self) -> None:
        self.provider.force_flush()

    def off(self) -> None:
        self.instrumentor.uninstrument()


PEERS: dict[str, type[Peer]] = {
    "ftnb": Ftnb, "flowtraicer": Flowtraicer, "mlflow": Mlflow, "openinference": OpenInference
}  # fmt: skip


async def timed(invoke: Invoke, runs: int) -> tuple[float, float]:
    begun, cpu = time.perf_counter(), time.thread_time()
    for _ in range(runs):
        await invoke({"path": []})
    return time.perf_counter() - begun, time.thread_time() - cpu


def main(name: str, folder: Path) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what tracers print must not look like an answer
    peer = PEERS[name](folder)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        state, runs = line.split()
        if state == "on":
            took = asyncio.run(timed(peer.on(), int(runs)))
            peer.settle()
            peer.off()
        else:
            took = asyncio.run(timed(peer.app.ainvoke, int(runs)))
        print(*took, file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
