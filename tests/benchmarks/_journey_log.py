"""A log of made-up journeys, the same on every machine, and what other libraries count in it.

    python _journey_log.py golden FILE          writes pm4py's directly-follows counts of the small log
    python _journey_log.py deviations FILE      writes what pm4py finds against the declared graph
    python _journey_log.py times PARQUET        prints, as JSON, how long pm4py and retentioneering take over a log

Needs only what is asked for: run it with a Python that has pm4py and retentioneering.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

BEGUN = datetime(2026, 1, 5, tzinfo=UTC)
NEXT = {
    "greet": ["qualify"],
    "qualify": ["search", "search", "search", "end"],
    "search": ["rank", "rank", "search", "details"],
    "rank": ["details", "refine", "end"],
    "refine": ["search"],
    "details": ["confirm", "rank", "end"],
    "confirm": ["submitted", "submitted", "details", "end"],
    "submitted": ["end"],
}
Row = tuple[str, str, datetime]


def journeys(n: int, seed: int = 7) -> Iterator[Row]:
    """(engagement, step, start), engagement after engagement; times grow by a second, so that no two tie."""
    rng = random.Random(seed)
    at = BEGUN
    for number in range(n):
        name = "greet"
        while name != "end":
            at += timedelta(seconds=1)
            yield f"e{number:07d}", name, at
            name = rng.choice(NEXT[name])


def counts_by_pm4py(rows: list[Row]) -> dict[str, Any]:
    """Edges, starts and ends as pm4py counts them."""
    import pandas as pd
    import pm4py

    frame = pd.DataFrame(rows, columns=["case", "activity", "at"])
    log = pm4py.format_dataframe(frame, case_id="case", activity_key="activity", timestamp_key="at")
    edges, starts, ends = pm4py.discover_dfg(log)
    variants = pm4py.get_variants(log)
    return {
        "edges": sorted([a, b, int(n)] for (a, b), n in edges.items()),
        "starts": {name: int(n) for name, n in sorted(starts.items())},
        "ends": {name: int(n) for name, n in sorted(ends.items())},
        "variants": sorted([list(path), int(n if isinstance(n, int) else len(n))] for path, n in variants.items()),
        "pm4py": pm4py.__version__,
    }


DECLARED = {
    None: ["greet"], "greet": ["qualify"], "qualify": ["search"], "search": ["rank", "details"], "rank": ["refine"],
    "refine": ["search"], "details": ["confirm"], "confirm": ["submitted"], "submitted": [None],
}  # fmt: skip
"""A graph that leaves out some of what the journeys do."""


def deviations_by_pm4py(rows: list[Row]) -> dict[str, Any]:
    """By engagement the moves that `DECLARED` does not have, as pm4py's footprints conformance finds them."""
    import pandas as pd
    import pm4py
    from pm4py.algo.conformance.footprints import algorithm as conformance
    from pm4py.algo.discovery.footprints import algorithm as footprints

    frame = pd.DataFrame(rows, columns=["case", "activity", "at"])
    log = pm4py.format_dataframe(frame, case_id="case", activity_key="activity", timestamp_key="at")
    log = pm4py.convert_to_event_log(log)
    pairs = {(a, b) for a, targets in DECLARED.items() for b in targets if a is not None and b is not None}
    model = {
        "sequence": pairs, "parallel": set(), "activities": {name for pair in pairs for name in pair},
        "start_activities": {"greet"}, "end_activities": {"submitted"}, "min_trace_length": 1,
    }  # fmt: skip
    traces = footprints.apply(log, variant=footprints.Variants.TRACE_BY_TRACE)
    found = conformance.apply(traces, model, variant=conformance.Variants.TRACE_EXTENSIVE)
    return {
        trace.attributes["concept:name"]: sorted([a, b] for a, b in one["footprints"])
        for trace, one in zip(log, found, strict=True)
    }


def times(path: str) -> dict[str, Any]:
    """Seconds of each library, with reading the file and without (of three calls the one in the middle), and what
    pm4py counted."""
    import pandas as pd

    found: dict[str, Any] = {}

    def read() -> Any:
        return pd.read_parquet(path, columns=["engagement_id", "name", "started_at"])

    read()
    try:
        import pm4py

        took = []
        for _ in range(3):
            begun = time.perf_counter()
            log = pm4py.format_dataframe(
                read(), case_id="engagement_id", activity_key="name", timestamp_key="started_at"
            )
            loaded = time.perf_counter()
            edges, _, _ = pm4py.discover_dfg(log)
            took.append({"with loading": time.perf_counter() - begun, "alone": time.perf_counter() - loaded})
        found["pm4py"] = sorted(took, key=lambda one: one["with loading"])[1]
        found["edges"] = sorted([a, b, int(n)] for (a, b), n in edges.items())
    except ImportError:
        pass
    try:
        import os

        os.environ["RETENTIONEERING_NO_TRACK"] = "1"
        found["retentioneering"] = sorted(
            (_retentioneering(read) for _ in range(3)), key=lambda one: one["with loading"]
        )[1]
    except ImportError:
        pass
    return found


def _retentioneering(read: Callable[[], Any]) -> dict[str, float]:
    from retentioneering import Eventstream

    begun = time.perf_counter()
    renamed = read().rename(columns={"engagement_id": "user_id", "name": "event", "started_at": "timestamp"})
    stream = Eventstream(renamed)
    loaded = time.perf_counter()
    stream.transition_graph_data(edge_weight="count")
    return {"with loading": time.perf_counter() - begun, "alone": time.perf_counter() - loaded}


def main() -> None:
    """See the head of this file."""
    what, path = sys.argv[1:]
    if what == "golden":
        text = json.dumps(counts_by_pm4py(list(journeys(500))), sort_keys=True)
        Path(path).write_text(text + "\n")
    elif what == "deviations":
        Path(path).write_text(json.dumps(deviations_by_pm4py(list(journeys(200))), sort_keys=True) + "\n")
    else:
        print(json.dumps(times(path)))


if __name__ == "__main__":
    main()
