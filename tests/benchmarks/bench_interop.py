"""Reading a large OTLP file to frames: seconds and memory, beside what merely decoding its JSON takes.

`python tests/benchmarks/bench_interop.py [quick]`
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import orjson

import ftnb

_PARTS = json.dumps([{"role": "user", "parts": [{"type": "text", "content": 'a "house" ' * 20}]}])


def write(path: Path, n_spans: int) -> None:
    """Traces of ten spans: an agent, a step, and calls of models and tools."""
    with path.open("wb") as file:
        file.write(b'{"resourceSpans":[{"scopeSpans":[{"spans":[')
        for n in range(n_spans):
            trace, place = divmod(n, 10)
            kind = "invoke_agent" if place < 2 else "chat" if place % 2 else "execute_tool"
            said = {"gen_ai.operation.name": kind, "gen_ai.request.model": "m", "gen_ai.input.messages": _PARTS}
            attributes = [{"key": key, "value": {"stringValue": value}} for key, value in said.items()]
            attributes.append({"key": "gen_ai.usage.input_tokens", "value": {"intValue": "12"}})
            begun = 1_700_000_000_000_000_000 + trace * 10**9 + place * 10**6
            parent = "" if place == 0 else f"{trace * 10 + min(place, 2):016x}"
            span = {
                "traceId": f"{trace + 1:032x}",
                "spanId": f"{n + 1:016x}",
                "parentSpanId": parent,
                "name": f"n{place}",
            }
            span |= {"startTimeUnixNano": str(begun), "endTimeUnixNano": str(begun + 10**8)}
            file.write((b"," if n else b"") + orjson.dumps({**span, "attributes": attributes}))
        file.write(b"]}]}]}")


def main(n_spans: int) -> None:
    """Print one row."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        write(path, n_spans)
        begun = time.perf_counter()
        traces = ftnb.read(path)
        n_steps, n_events = traces.steps().height, traces.events().height
        took = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size = path.stat().st_size / 2**20
        traces.close()
        begun = time.perf_counter()
        orjson.loads(path.read_bytes())
        plain = time.perf_counter() - begun
    print(
        f"{n_spans:,} spans, {size:.0f} MB: {took:.1f} s to frames, {peak:.0f} MB at most; "
        f"{n_steps:,} steps, {n_events:,} events"
    )
    print(f"decoding the JSON alone: {plain:.2f} s; ratio {took / plain:.0f}")


if __name__ == "__main__":
    main(2_000 if "quick" in sys.argv[1:] else 100_000)
