"""Texts that would run, load, break a lookup or fool a reader, were they trusted; and everything that shows texts."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from ftnb.core.model import (
    EdgeDef,
    Engagement,
    EngagementStatus,
    EventKind,
    Extraction,
    Gap,
    NodeDef,
    Step,
    StepEvent,
    StepStatus,
    Topology,
)
from ftnb.widget.compare import comparison_payload
from ftnb.widget.payload import engagement_payload
from ftnb.widget.process_map import MapSource, process_map_payload
from ftnb.widget.protocol import PROTOCOL_VERSION
from tests.widget import traces

RUN = "window.__pwned=1"
TEXTS = (
    f"<script>{RUN}</script>",
    f"<img src=x onerror='{RUN}'>",
    f"\"><svg onload={RUN}>",
    f"</style><script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    f"<!--<script>{RUN}//-->",
    f"<iframe srcdoc=\"<script>parent.{RUN}</script>\"></iframe>",
    f"<a href=\"javascript:{RUN}\">x</a>",
    f"javascript:{RUN}",
    "<img src=https://evil.example/p.png>",
    "url(https://evil.example/a.css);} body{background:url(https://evil.example/b.png)} x{",
    "@import 'https://evil.example/c.css';",
    "<link rel=stylesheet href=https://evil.example/d.css><base href=https://evil.example/>",
    "{{constructor.constructor('" + RUN + "')()}} ${" + RUN + "}",
    f"';{RUN};//",
    "__proto__", "constructor", "toString", "hasOwnProperty", "valueOf", "length",
    "\u202etxt.exe\u202c \u2066rtl\u2069 \u05d0\u05d1 \u0627\u0644",
    "\x00\x01\x07\x08\x0b\x1b[31mred\x1b[0m\x1b]0;title\x07\x7f\x85\u2028\u2029\ufeff\ufffe",
    "p\u0430ypal a\u0301\u0301\u0301\u0301\u0301\u0301 \u200b\u200d \U0001f469\u200d\U0001f4bb",
    "x" * 20_000,
    "<b>" * 2_000,
    "", " ", "#", ".", "[", "\\", "n0", "'\"`", "&lt;b&gt;", "%3Cscript%3E",
)  # fmt: skip


def engagement(texts: tuple[str, ...] = TEXTS) -> Engagement:
    """Every text as a name, an error, an id, a value and a key."""
    names = tuple(dict.fromkeys(texts))
    run = Engagement(id=texts[0], name=texts[1 % len(texts)], started_at=traces.T0, error=texts[0])
    run.topology = Topology(
        nodes=[NodeDef(name=name) for name in names],
        edges=[EdgeDef(source=a, target=b, condition=a) for a, b in pairwise(names)],
        entry=[names[0]],
        finish=[names[-1]],
    )
    run.metadata = {name: name for name in names}
    for number, text in enumerate(names):
        step = Step(
            id=f"{number} {text}",
            engagement_id=run.id,
            name=text,
            started_at=traces.at(number * 100.0),
            duration_ms=90.0,
        )
        step.status, step.error = StepStatus.FAILED, text
        step.ns = f"inside {text[:200]}" if number % 5 == 0 else ""
        step.triggers = [run.steps[-1].id] if run.steps else []
        step.state_ref = {text: text, "messages": [{"role": text, "content": text, "tool_calls": [{"name": text}]}]}
        step.update_ref = {"html": text, "image_url": {"url": text}, "table": [{text: text}, {text: 1}]}
        step.extraction = Extraction(schema_name=text, values={text: text}, valid=True)
        for place, kind in enumerate((EventKind.LLM_CALL, EventKind.TOOL_CALL, EventKind.LOG)):
            payload = {text: text, "messages": [{"role": "user", "content": text}], "url": text, "src": text}
            at = traces.at(number * 100.0 + place * 20)
            event = StepEvent(
                step_id=step.id, kind=kind, name=text, ts=at, duration_ms=10.0, payload=payload, error=text
            )
            step.events.append(event)
        run.steps.append(step)
    run.gaps.append(Gap(reason=texts[0], count=1, detail=texts[1 % len(texts)]))
    run.status, run.dropped_at, run.ended_at = EngagementStatus.FAILED, texts[0], traces.at(9_000)
    return run


def comparison() -> Any:
    """Two hostile runs side by side."""
    run = engagement_payload(engagement())
    return comparison_payload(run, engagement_payload(engagement(TEXTS[::-1])), names=(TEXTS[0], TEXTS[1]))


def process_map() -> Any:
    """Hostile steps as a map."""
    nodes = [{"name": text, "n_visits": 2, "n_engagements": 1} for text in TEXTS]
    edges = [{"from_name": a, "to_name": b, "n": 1, "n_engagements": 1} for a, b in pairwise(TEXTS)]
    source = MapSource(TEXTS[0], 3, nodes, edges)
    return process_map_payload(source, MapSource(TEXTS[1], 3, nodes, edges), title=TEXTS[1], currency=TEXTS[0])


def monitor() -> Any:
    """The monitor with hostile rows, alerts and alarms."""
    rows = [
        {
            "id": f"{n}{text}", "name": text, "status": "active", "started_at": text, "duration_ms": 5.0, "steps": 1,
            "running": [text], "last_step": text, "tokens": 1, "tokens_per_s": 1.0, "errors": 1, "llm_calls": 1,
            "tool_calls": 1, "turns": 2, "dropped": 1, "spark": [1, 2, 3],
        }
        for n, text in enumerate(TEXTS)
    ]  # fmt: skip
    alerts = [{"key": n, "name": text, "condition": text, "n": 1, "error": text} for n, text in enumerate(TEXTS)]
    alarms = [
        {"alert": 0, "name": text, "engagement": text, "engagement_name": text, "step": text, "text": text, "at": text}
        for text in TEXTS
    ]
    return {
        "v": PROTOCOL_VERSION, "kind": "monitor", "store": TEXTS[0], "rows": rows, "n_more": 0, "alerts": alerts,
        "alarms": alarms, "following": None,
    }  # fmt: skip


def browser() -> Any:
    """A page of hostile engagements, with hostile things to choose by."""
    rows = [
        {
            "id": f"{n}{text}", "name": text, "status": text, "started_at": text, "duration_ms": 5.0, "n_turns": 2,
            "n_steps": 3, "n_errors": 1, "total_tokens": 4, "dropped_at": text, "parent_id": text, "error": text,
            "metadata": [[text, text]],
        }
        for n, text in enumerate(TEXTS)
    ]  # fmt: skip
    values = [{"value": text, "n": 1, "picked": n % 2 == 0} for n, text in enumerate(TEXTS)]
    facets = [{"field": f"meta:{text}", "label": text, "values": values, "n_more": 1} for text in TEXTS[:3]]
    facets.append({"field": "status", "label": "status", "values": values, "n_more": 0})
    spread = {"field": "n_steps", "low": 1.0, "high": 9.0, "counts": [1, 2, 3]}
    query = {"text": TEXTS[0], "within": "about", "picked": [], "sort": "__proto__", "descending": True, "page": 0}
    return {
        "v": PROTOCOL_VERSION, "kind": "browser", "title": TEXTS[0], "note": TEXTS[1], "n": 500, "n_found": 500,
        "searches": True, "page_size": 50, "query": query, "rows": rows, "hits": None, "facets": facets,
        "spreads": [spread],
    }  # fmt: skip


def found() -> Any:
    """Hostile things that a search found."""
    hits = [
        {
            "engagement": text, "engagement_name": text, "status": None if text == "" else text, "step": text,
            "step_name": text, "where": text, "path": text, "before": text, "match": text, "after": text,
        }
        for text in TEXTS
    ]  # fmt: skip
    return {**browser(), "hits": hits, "rows": [], "facets": [], "spreads": []}


PAYLOADS: dict[str, Callable[[], Any]] = {"comparison": comparison, "process map": process_map}
