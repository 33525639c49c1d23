"""The view of a run in headless Chromium: first paint, panning, zooming and following, at sizes that hurt.

    python tests/benchmarks/bench_widget.py [quick]

First paint is from the recorded engagement in memory to the painted view: making the payload (Python), reading it and
drawing it (browser); moving it between the two is left out. The baseline of the timeline is one rectangle a mark on the
same canvas size, drawn in the same page. `CHROMIUM` names the browser.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playwright.sync_api import Browser, sync_playwright

from ftnb.core.model import (
    EdgeDef,
    Engagement,
    EngagementStatus,
    EventKind,
    NodeDef,
    Step,
    StepEvent,
    StepStatus,
    Topology,
)
from ftnb.widget.columns import column, json_default, pack
from ftnb.widget.html import read_bundle
from ftnb.widget.payload import engagement_payload
from ftnb.widget.protocol import MarkColumns
from tests.benchmarks._notebook import measure, outputs_of
from tests.benchmarks._tools import Line, show
from tests.browser.harness import Widget
from tests.widget import traces

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
_PAINT = """(async () => {
  const text = window.text, t0 = performance.now();
  window.show(JSON.parse(text));
  await new Promise(requestAnimationFrame); await new Promise(requestAnimationFrame);
  return performance.now() - t0;
})()"""
_FRAMES = """(async () => {
  const times = []; let last = await new Promise(requestAnimationFrame);
  for (let i = 0; i < argument; i++) {
    MOVE
    const now = await new Promise(requestAnimationFrame);
    times.push(now - last); last = now;
  }
  return times;
})()"""
_MOVES = {
    "pan": "app.timeline.window.pan(i % 60 < 30 ? 9 : -9); app.timeline.redraw();",
    "zoom": "app.timeline.zoom(i % 60 < 30 ? 1.1 : 1 / 1.1, 300);",
    "seek": "app.graph.at(app.run.payload.timeline.total_ms * (i + 1) / argument);",
}
_NAIVE = """(async () => {
  const c = document.createElement('canvas'); c.width = 900; c.height = 200; document.body.append(c);
  const x = c.getContext('2d'), n = argument, times = []; let last = await new Promise(requestAnimationFrame);
  for (let f = 0; f < 8; f++) {
    x.clearRect(0, 0, 900, 200);
    for (let i = 0; i < n; i++) {
      x.fillStyle = i % 3 ? '#27a' : '#a72';
      x.fillRect((i / n) * 900 + f, (i % 10) * 18, 2, 10);
    }
    const now = await new Promise(requestAnimationFrame); times.push(now - last); last = now;
  }
  c.remove(); return times;
})()"""


def long_run(n_steps: int, events: int) -> Engagement:
    """An agent of a dozen nodes, often several at once, with human pauses and some failures."""
    rng = random.Random(1)
    names = ["plan", *(f"agent_{i}" for i in range(6)), *(f"tool_{i}" for i in range(4)), "answer"]
    topology = Topology(
        nodes=[NodeDef(name=name) for name in names],
        edges=[EdgeDef(source=a, target=b) for a in names for b in names if a < b],
    )
    run = Engagement(name="long", started_at=traces.T0, status=EngagementStatus.COMPLETED, topology=topology)
    clock = 0.0
    kinds = (EventKind.LLM_CALL, EventKind.TOOL_CALL, EventKind.LOG)
    for number in range(n_steps):
        start, lasts, fails = traces.at(clock), rng.uniform(40, 400), rng.random() < 0.003
        step = Step(id=f"s{number}", engagement_id=run.id, name=names[rng.randrange(12)], started_at=start)
        step.duration_ms, step.visit, step.turn = lasts, number // 12 + 1, 1 + number // max(n_steps // 4, 1)
        step.status = StepStatus.FAILED if fails else StepStatus.COMPLETED
        step.error = "lost" if fails else None
        for k in range(events):
            at = start + timedelta(milliseconds=lasts * k / events)
            step.events.append(StepEvent(step_id=step.id, kind=kinds[k % 3], name="call", ts=at, duration_ms=5.0))
        run.steps.append(step)
        clock += rng.uniform(20, 200) + (600_000 if number % max(n_steps // 4, 1) == 0 else 0)
    run.ended_at = traces.at(clock + 500)
    return run


def wide_graph(n: int) -> Engagement:
    """A topology of `n` nodes with about 1.3 edges each, every node run once."""
    rng = random.Random(2)
    pairs = [(rng.randrange(max(0, i - 30), i), i) for i in range(1, n)]
    pairs += [(i, min(n - 1, i + rng.randrange(1, 40))) for i in range(0, n, 3)]
    topology = Topology(
        nodes=[NodeDef(name=f"node {i}") for i in range(n)],
        edges=[EdgeDef(source=f"node {a}", target=f"node {b}") for a, b in dict.fromkeys(pairs) if a != b],
    )
    run = Engagement(name="wide", started_at=traces.T0, status=EngagementStatus.COMPLETED, topology=topology)
    before = {target: source for source, target in reversed(pairs)}
    for i in range(n):
        step = Step(id=f"s{i}", engagement_id=run.id, name=f"node {i}", started_at=traces.at(i * 5.0), duration_ms=20.0)
        step.status, step.triggers = StepStatus.COMPLETED, [f"s{before[i]}"] if i in before else []
        run.steps.append(step)
    return run


def with_marks(run: Engagement, n: int) -> Any:
    """The payload of `run` with `n` marks spread over it, written as columns straight away."""
    payload = engagement_payload(run, details="none")
    lanes, total = payload["timeline"]["lanes"], 0
    each, start, offsets = n // len(lanes), [0], []
    for lane in lanes:
        offsets += [lane["offset_ms"] + lane["duration_ms"] * k / each for k in range(each)]
        lane["marks"] = []
        total += each
        start.append(total)
    payload["marks"] = MarkColumns(
        kinds=["llm_call", "tool_call", "log"],
        names=["call"],
        start=column("u4", start),
        offset=column("f8", offsets),
        duration=column("f4", [1.0] * total),
        ttft=column("f4", [float("nan")] * total),
        kind=column("u1", [k % 3 for k in range(total)]),
        name=column("u4", [0] * total),
        flags=column("u1", [k % 997 == 0 for k in range(total)]),
    )
    return payload


@contextmanager
def view(browser: Browser, text: str) -> Iterator[Widget]:
    """A page with the bundle loaded and the payload's text at hand."""
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    widget = Widget(page)
    page.evaluate("text => { window.text = text }", text)
    yield widget
    page.close()


def made(run: Engagement) -> tuple[float, str]:
    """Milliseconds of Python for the payload, and its text."""
    begun = time.perf_counter()
    packed = pack(engagement_payload(run, details="none"))
    took = (time.perf_counter() - begun) * 1000
    return took, json.dumps(packed, default=json_default)


def frames(widget: Widget, move: str, n: int) -> list[float]:
    """Milliseconds of each frame while the view moves."""
    return list(widget.eval(_FRAMES.replace("MOVE", _MOVES[move]), n))


def first_paint(browser: Browser, name: str, run: Engagement, reach_ms: float, rounds: int) -> Line:
    """The line of one first paint."""
    python, texts = zip(*(made(run) for _ in range(rounds)), strict=True)
    browsers = []
    for _ in range(rounds):
        with view(browser, texts[0]) as widget:
            browsers.append(widget.eval(_PAINT))
    total = statistics.median(python) + statistics.median(browsers)
    parts = f"Python {statistics.median(python):,.0f}, browser {statistics.median(browsers):,.0f}"
    detail = f"{total:,.0f} ms ({parts}; {len(texts[0]) / 1e6:.1f} MB)"
    return Line(f"{name}: first paint", f"< {reach_ms:,.0f} ms", detail, total < reach_ms)


def motion(widget: Widget, name: str, moves: tuple[str, ...], n: int, fps: float, worst: float | None) -> list[Line]:
    """The lines of moving a view that is shown."""
    lines = []
    for move in moves:
        times = frames(widget, move, n)
        median, most = statistics.median(times), max(times)
        reach = f">= {fps:.0f} fps" + (f", no frame > {worst:.0f} ms" if worst else "")
        ok = 1000 / median >= fps * 0.99 and (worst is None or most <= worst)
        lines.append(Line(f"{name}: {move}", reach, f"{1000 / median:.0f} fps, worst frame {most:.0f} ms", ok))
    return lines


def timeline_lines(browser: Browser, quick: bool) -> list[Line]:
    n, rounds, n_frames = (1_000, 1, 20) if quick else (10_000, 3, 120)
    run = long_run(n, 5)
    name = f"{n:,} steps, {5 * n:,} events"
    lines = [
        first_paint(browser, "20 steps", long_run(20, 3), 300, rounds),
        first_paint(browser, name, run, 1_500, rounds),
    ]
    with view(browser, made(run)[1]) as widget:
        widget.eval(_PAINT)
        lines += motion(widget, name, ("pan", "zoom"), n_frames, 50, 100)
        widget.eval("app.timeline.setState({grouping: 'step', wall: false})")
        lines += motion(widget, f"{name}, a row a step", ("pan",), n_frames, 50, 100)
    many = 50_000 if quick else 1_000_000
    text = json.dumps(pack(with_marks(long_run(2_000 if quick else 20_000, 0), many)), default=json_default)
    with view(browser, text) as widget:
        took = widget.eval(_PAINT)
        lines.append(
            Line(f"{many:,} marks: opens (browser)", "opens", f"{took:,.0f} ms, {len(text) / 1e6:.1f} MB", None)
        )
        lines += motion(widget, f"{many:,} marks", ("pan", "zoom"), n_frames, 30, None)
        naive = statistics.median(widget.eval(_NAIVE, many))
        lines.append(Line(f"{many:,} marks: a rectangle each (baseline)", "", f"{1000 / naive:.0f} fps", None))
    return lines


def graph_lines(browser: Browser, quick: bool) -> list[Line]:
    lines = []
    for n, reach in ((500, 600.0),) if quick else ((500, 600.0), (2_000, 1_500.0)):
        run = wide_graph(n)
        lines.append(first_paint(browser, f"topology of {n:,} nodes", run, reach, 1 if quick else 3))
        with view(browser, made(run)[1]) as widget:
            widget.eval(_PAINT)
            times = frames(widget, "seek", 20 if quick else 60)
        shown = f"median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms"
        lines.append(Line(f"topology of {n:,} nodes: status updates", "every frame < 120 ms", shown, max(times) < 120))
    return lines


def notebook_lines(browser: Browser, quick: bool) -> list[Line]:
    """Views in JupyterLab, from the cell to the painted page: the first, which brings the bundle, and later ones."""
    n = 5 if quick else 20
    seen = measure(browser, views=n)
    kept, has_script = outputs_of(seen.saved)
    file = seen.html_bytes
    wire, all_ms, saved = (
        seen.wire_bytes / 1000,
        seen.all_ms,
        f"{kept / 1000:.0f} kB, {'a' if has_script else 'no'} script",
    )
    return [
        Line("20 steps, JupyterLab: a page's first view", "", f"{seen.opening_ms:,.0f} ms", None),
        Line("20 steps, JupyterLab: first paint", "< 300 ms", f"{seen.first_ms:,.0f} ms", seen.first_ms < 300),
        Line(f"{n} views: bytes on the wire", "< 1,000 kB", f"{wire:,.0f} kB", wire < 1_000),
        Line(f"{n} views: all painted", "< 2,500 ms", f"{all_ms:,.0f} ms", all_ms < 2_500),
        Line("saved notebook, 100 steps", "< 30 kB, no script", saved, kept < 30_000 and not has_script),
        Line("to_html, 100 steps", "< 800 kB", f"{file / 1000:.0f} kB", file < 800_000),
    ]


def main(quick: bool) -> None:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    size = len(gzip.compress(read_bundle().encode(), 9))
    lines = [Line("bundle, gzipped", "< 200 kB", f"{size / 1000:.0f} kB", size < 200_000)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        lines += timeline_lines(browser, quick)
        lines += graph_lines(browser, quick)
        lines += notebook_lines(browser, quick)
        browser.close()
    show("The view of a run, headless Chromium", lines)


if __name__ == "__main__":
    main("quick" in sys.argv[1:])
