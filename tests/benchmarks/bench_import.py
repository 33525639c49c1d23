"""Time of `import ftnb` in a fresh interpreter, beside a bare interpreter and `import pydantic`.

    python tests/benchmarks/bench_import.py [runs]

Wall-clock medians in milliseconds; the cases take turns, so that a slow moment of the machine hits all of them.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

CASES = {"bare python": "pass", "import pydantic": "import pydantic", "import ftnb": "import ftnb"}


def measure(code: str) -> float:
    """Milliseconds from starting the interpreter to its end."""
    started = time.perf_counter_ns()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter_ns() - started) / 1e6


def main(runs: int) -> None:
    for code in CASES.values():
        measure(code)  # bytecode and file cache
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(runs):
        for name, code in CASES.items():
            times[name].append(measure(code))
    bare = statistics.median(times["bare python"])
    print(f"{'case':<18}{'median ms':>10}{'min ms':>10}{'over bare':>11}    ({runs} runs)")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:<18}{median:>10.1f}{min(values):>10.1f}{median - bare:>11.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
