"""Several processes on one file: forked children, and kernels that know nothing of each other."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ftnb
from ftnb.recorder import Recorder
from ftnb.store.postgres import PostgresStore
from ftnb.store.redis import RedisStore
from ftnb.store.sqlite import SQLiteStore
from tests.capture.shapes import graph_of
from tests.faults.parts import sound, whole

EMPTY: dict[str, list[str]] = {"path": []}
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # Python warns of what is tested here: a fork while the writer's thread runs.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


def forked(work: Callable[[], Any]) -> int:
    """Do `work` in a forked child, which then ends at once; its pid."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)


def ended_well(pid: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def steps(recorder: Recorder, engagement_id: str, prefix: str, n: int) -> None:
    for i in range(n):
        recorder.end_step(recorder.start_step(engagement_id, f"{prefix}{i}", state={"text": "x" * 700}))


def test_a_forked_child_records_for_itself(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "t.db")
    recorder = Recorder(store)
    both = recorder.start_engagement("both")
    steps(recorder, both, "before", 50)

    def child() -> None:
        own = recorder.start_engagement("child", metadata={"pid": os.getpid()})
        steps(recorder, own, "c", 50)
        steps(recorder, both, "c", 50)
        assert recorder.flush(10)
        stats = recorder.stats()
        assert (stats.accepted, stats.committed, stats.dropped) == (201, 201, {})
        assert len(store.get_engagement(own).steps) == 50

    pid = forked(child)
    steps(recorder, both, "after", 50)
    assert ended_well(pid)
    assert recorder.flush(10)
    names = [step.name for step in store.get_engagement(both).steps]
    parents = [name for name in names if not name.startswith("c")]
    assert parents == [f"before{i}" for i in range(50)] + [f"after{i}" for i in range(50)]
    assert [name for name in names if name.startswith("c")] == [f"c{i}" for i in range(50)]
    assert recorder.stats().dropped == {}
    whole(store)
    store.close()
    sound(tmp_path / "t.db")


def test_a_child_outlives_its_parents_store(tmp_path: Path) -> None:
    # The parent's last connection ends the write-ahead log, unless the child's own locks are seen.
    store = SQLiteStore(tmp_path / "t.db")
    recorder = Recorder(store)
    recorder.start_engagement("parent")

    def child() -> None:
        for i in range(60):
            recorder.start_engagement(f"child {i}")
            recorder.flush(5)
            time.sleep(0.01)

    pid = forked(child)
    time.sleep(0.2)
    recorder.close()
    store.close()
    other = SQLiteStore(tmp_path / "t.db")
    other.list_engagements()
    other.close()
    assert ended_well(pid)
    again = SQLiteStore(tmp_path / "t.db")
    assert len(again.list_engagements()) == 61
    whole(again)
    again.close()
    sound(tmp_path / "t.db")


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns after every few instructions: a fork finds the writer in the middle of anything."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_storm_of_forks(tmp_path: Path, hasty: None) -> None:
    store = SQLiteStore(tmp_path / "t.db")
    recorder = Recorder(store)
    engagement_id = recorder.start_engagement("parent")
    pids, longest = [], 0.0

    def child() -> None:
        recorder.start_engagement("child")
        assert recorder.flush(20)
        if recorder.stats().dropped == {"forked": 1}:  # the parent was kept waiting for the file by other children
            os._exit(3)

    for i in range(25):
        steps(recorder, engagement_id, f"{i}.", 10)
        begun = time.monotonic()
        pids.append(forked(child))
        longest = max(longest, time.monotonic() - begun)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    refused = codes.count(3)
    assert codes.count(0) == 25 - refused
    assert refused < 10
    assert longest < 1.5
    assert recorder.flush(10)
    assert len(store.get_engagement(engagement_id).steps) == 250
    assert [s.name for s in store.list_engagements()].count("child") == 25 - refused
    whole(store)
    store.close()
    sound(tmp_path / "t.db")


def test_a_child_that_records_nothing_opens_nothing(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "t.db")
    recorder = Recorder(store)
    recorder.start_engagement("parent")

    def child() -> None:
        import threading

        assert threading.active_count() == 1
        assert recorder.stats().pending == 0

    assert ended_well(forked(child))
    assert recorder.flush()
    store.close()


def _work(n: int) -> list[str]:
    app = graph_of("^>a", "a>b").compile()
    return [str(app.invoke({"path": [str(i)]})["path"]) for i in range(n)]


def test_agents_in_a_pool_of_forked_processes(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        session = ftnb.start(tmp_path / "t.db")
        expected = _work(5)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(_work, [5, 5, 5, 5]) == [expected] * 4
            pool.close()
            pool.join()
        assert _work(5) == expected
    store: Any = session.store
    assert [s.step_count for s in store.list_engagements()] == [2] * 30
    assert {s.status for s in store.list_engagements()} == {"completed"}
    assert session.stats().dropped == {}
    whole(store)
    ftnb.stop()


def test_a_node_that_forks(tmp_path: Path) -> None:
    def a(state: Any) -> Any:
        pid = forked(lambda: (_work(1), session.recorder.flush(10)))
        assert ended_well(pid)
        return {"path": ["a"]}

    session = ftnb.start(tmp_path / "t.db")
    assert graph_of("^>a", "a>b", a=a).compile().invoke(EMPTY) == {"path": ["a", "b"]}
    last = ftnb.last()
    assert {"a", "b"} <= {step.name for step in last.steps}
    assert session.stats().dropped == {}
    names = [step.name for step in last.steps]
    assert names.count("b") == 2, "the child's run is a part of the node that it came from"
    whole(session.store)
    ftnb.stop()


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_servers(kind: str, request: pytest.FixtureRequest) -> None:
    store: Any
    if kind == "redis":
        store = RedisStore(request.getfixturevalue("redis_url"), key_prefix=f"fork{os.getpid()}")
    else:
        store = PostgresStore(request.getfixturevalue("postgres_dsn"), table=f"fork_{os.getpid()}")
    recorder = Recorder(store)
    recorder.start_engagement("parent")
    recorder.flush(10)

    def child() -> None:
        recorder.start_engagement("child")
        assert recorder.flush(10)
        stats = recorder.stats()
        assert (stats.committed, stats.dropped) == (1, {})

    assert ended_well(forked(child))
    recorder.start_engagement("parent")
    assert recorder.flush(10), "the parent's connection is as it was"
    assert sorted(s.name for s in store.list_engagements()) == ["child", "parent", "parent"]
    store.close()


KERNEL = """
import json, sys
import ftnb
from ftnb.core.ids import new_id
from langgraph.checkpoint.memory import InMemorySaver
from tests.capture.shapes import graph_of
session = ftnb.start(sys.argv[1])
app = graph_of("^>a", "a>b", "b>c").compile(checkpointer=InMemorySaver())
print("ready", flush=True)
sys.stdin.readline()
for i in range(40):
    config = {"configurable": {"thread_id": "1"}, "metadata": {"kernel": sys.argv[2]}}
    app.invoke({"path": []}, config)
session.recorder.flush(20)
stats = session.stats()
print(json.dumps([stats.accepted, stats.committed, stats.dropped, stats.pending]), flush=True)
ftnb.stop()
"""


def test_two_kernels_on_one_file(tmp_path: Path) -> None:
    path = str(tmp_path / "t.db")
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    kernels = [
        subprocess.Popen(
            [sys.executable, "-c", KERNEL, path, str(k)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=root,
        )
        for k in range(2)
    ]  # fmt: skip
    for kernel in kernels:
        assert kernel.stdout is not None
        assert kernel.stdout.readline() == "ready\n"
    for kernel in kernels:
        kernel.stdin.write("\n")  # type: ignore[union-attr]
        kernel.stdin.flush()  # type: ignore[union-attr]
    for kernel in kernels:
        said, _ = kernel.communicate(timeout=60)
        assert kernel.returncode == 0
        _, committed, dropped, pending = json.loads(said)
        assert (dropped, pending) == ({}, 0)
        assert committed > 0
    store = SQLiteStore(path)
    engagements = [store.get_engagement(s.id) for s in store.list_engagements()]
    # One conversation each: the same thread id in two kernels is not the same thread.
    assert [len(e.steps) for e in engagements] == [120, 120]
    assert {e.metadata["kernel"] for e in engagements} == {"0", "1"}
    for engagement in engagements:
        assert [step.name for step in engagement.steps] == ["a", "b", "c"] * 40
        assert [step.turn for step in engagement.steps] == [n // 3 + 1 for n in range(120)]
    whole(store)
    store.close()
    sound(tmp_path / "t.db")
