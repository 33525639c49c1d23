"""What the benchmarks share: paired measurements, medians, and the table of what was asked and what was found."""

from __future__ import annotations

import gc
import os
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Times = dict[str, list[float]]


def interleaved(variants: Mapping[str, Callable[[], float]], rounds: int) -> Times:
    """What each variant measured, by round; within a round the order is random, so that a slow moment hits any."""
    times: Times = {name: [] for name in variants}
    for _ in range(rounds):
        order = list(variants)
        random.shuffle(order)
        for name in order:
            gc.collect()
            times[name].append(variants[name]())
    return times


def ratio(times: Times, of: str, over: str) -> float:
    """The median over the rounds of one variant's time over another's in the same round."""
    return statistics.median(a / b for a, b in zip(times[of], times[over], strict=True))


def ratios(times: Times, of: str, over: str) -> str:
    """The median of those ratios, and their quartiles, as text."""
    found = [a / b for a, b in zip(times[of], times[over], strict=True)]
    return f"{statistics.median(found):.2f} ({quantile(found, 0.25):.2f} to {quantile(found, 0.75):.2f})"


def added(times: Times, of: str, over: str) -> float:
    """The median over the rounds of how much longer one variant took than another in the same round."""
    return statistics.median(a - b for a, b in zip(times[of], times[over], strict=True))


def differences(times: Times, of: str, over: str) -> str:
    """The median of how much longer one took than the other, and the quartiles, as text."""
    found = [a - b for a, b in zip(times[of], times[over], strict=True)]
    return f"{statistics.median(found):+.0f} ({quantile(found, 0.25):+.0f} to {quantile(found, 0.75):+.0f})"


def quantile(values: Sequence[float], q: float) -> float:
    """The value below which the part `q` of `values` lies."""
    return sorted(values)[min(int(len(values) * q), len(values) - 1)]


def resident_mb() -> float:
    """Memory of this process in MB."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True)
class Line:
    """One line of the table: what is to be reached, and what was measured; `met` None: nothing is to be reached."""

    measure: str
    reach: str
    measured: str
    met: bool | None = None


def show(title: str, lines: Sequence[Line]) -> None:
    """Print the table."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n{title}    ({os.cpu_count()} cores, load {load})")
    widths = [max(len(getattr(line, name)) for line in lines) for name in ("measure", "reach", "measured")]
    for line in lines:
        verdict = "" if line.met is None else "reached" if line.met else "MISSED"
        cells = (line.measure.ljust(widths[0]), line.reach.ljust(widths[1]), line.measured.ljust(widths[2]), verdict)
        print("  " + " | ".join(cells))


def spent(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds that `work` took: on the clock, and of this thread's processor time."""
    begun, cpu = time.perf_counter(), time.thread_time()
    work()
    return time.perf_counter() - begun, time.thread_time() - cpu
