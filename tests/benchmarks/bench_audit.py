"""The audit trail: what it costs those who record, those who prove and verify, and how fast a purge is.

    python tests/benchmarks/bench_audit.py [quick]

`quick` takes a tenth of the records. Costs are of processor time, against the same work without the trail where there
is such a thing; rates of whole stores are of the clock, on the disk of the temporary folder.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from ftnb.audit import merkle
from ftnb.audit._check import check
from ftnb.audit._note import NoteSigner
from ftnb.core.ids import new_id, now_us
from ftnb.core.model import EngagementStatus, EventKind
from ftnb.recorder import Recorder
from ftnb.retention import Retention
from ftnb.store import _writer, build
from ftnb.store.draft import Draft, Stream
from ftnb.store.leaf import Profile, Tree
from ftnb.store.memory import MemoryStore
from ftnb.store.sqlite import SQLiteStore
from tests.benchmarks._tools import Line, added, interleaved, show, spent

TEXT = "x" * 280


def drafts(n: int) -> list[Draft]:
    """One engagement of `n` records of 400 bytes, begun and ended."""
    stream, step = Stream(new_id(), new_id(), turn=1), new_id()
    said = {"query": "q", "text": TEXT}
    events = (
        build.event(stream, now_us(), step, EventKind.TOOL_CALL, "search", payload={**said, "i": i}, duration_us=1_234)
        for i in range(n - 2)
    )
    begun = build.engagement_started(stream, now_us(), "chat", metadata={"user": "u"})
    return [begun, *events, build.engagement_ended(stream, now_us(), EngagementStatus.COMPLETED)]


def caller(n: int, rounds: int) -> Line:
    """What the caller's thread pays for the trail: the same calls onto a signed store of profile audit, and a plain
    one. The writer thread is kept from running meanwhile, so that it is not measured with them."""
    signer = NoteSigner("bench", os.urandom(32))

    def of(profile: Profile, signed: bool) -> float:
        store = MemoryStore()
        store.profile, store.signer = profile, signer if signed else None
        recorder = Recorder(store)
        step = recorder.start_step(recorder.start_engagement("e"), "s")
        recorder.flush()
        with store._write_lock:
            _, cpu = spent(lambda: [recorder.record_event(step, EventKind.LOG, "x", payload=None) for _ in range(n)])
        recorder.flush(60)
        recorder.close()
        return cpu / n * 1e6

    times = interleaved({"trail": lambda: of("audit", True), "plain": lambda: of("hash", False)}, rounds)
    more = added(times, "trail", "plain")
    return Line("caller's thread, trail over none, a record", "<= 1 us", f"{more:+.2f} us", more <= 1)


def writer(n: int, rounds: int) -> list[Line]:
    """What hashing adds to the writer's encoding of a record, by profile."""
    real = _writer.leaf_hashes, _writer.audited, Tree.extend

    def encoding(profile: Profile, *, trail: bool) -> float:
        store, work = MemoryStore(), drafts(n)
        store.profile = profile
        if not trail:
            _writer.leaf_hashes = lambda rows: rows  # type: ignore[assignment, return-value]
            _writer.audited = lambda rows: (rows, rows)  # type: ignore[assignment, return-value]
            Tree.extend = lambda self, rows: setattr(self, "size", self.size + len(rows))  # type: ignore[method-assign]
        try:
            return spent(lambda: store._log.encode(work))[1] / n * 1e6
        finally:
            _writer.leaf_hashes, _writer.audited, Tree.extend = real  # type: ignore[method-assign]

    variants = {
        "none": lambda: encoding("hash", trail=False),
        "hash": lambda: encoding("hash", trail=True),
        "audit": lambda: encoding("audit", trail=True),
    }
    times = interleaved(variants, rounds)
    lines = []
    for profile, reach in (("hash", 5.0), ("audit", 14.0)):
        cost = added(times, profile, "none")
        said = f"{cost:.1f} us over {statistics.median(times['none']):.1f} us of encoding"
        lines.append(Line(f"writer, profile {profile}, a record", f"<= {reach:g} us", said, cost <= reach))
    return lines


def trees(n: int) -> list[Line]:
    """A tree of a million records: its head, and one proof."""
    leaves = [sha256(b"\x00%d" % i).digest() for i in range(n)]
    seconds, cpu = spent(lambda: merkle.root_hash(leaves))
    root, index = merkle.root_hash(leaves), n * 2 // 3
    proof = merkle.inclusion_proof(leaves, index)
    times = []
    for _ in range(200):
        begun = time.perf_counter()
        assert merkle.root_by_inclusion(leaves[index], index, n, proof) == root
        times.append(time.perf_counter() - begun)
    took = statistics.median(times) * 1e6
    return [
        Line(f"tree head of {n:,} records", "< 2 s", f"{seconds:.2f} s (processor {cpu:.2f} s)", seconds < 2),
        Line("inclusion proof in it", "<= 20 hashes", f"{len(proof)} hashes", len(proof) <= 20),
        Line("checking it", "< 100 us", f"{took:.0f} us", took < 100),
    ]


def verifying(folder: Path, n: int, profile: Profile) -> Line:
    """A full verification of a store."""
    store = SQLiteStore(folder / f"verify-{profile}.db")
    store.profile, store.signer = profile, NoteSigner("bench", os.urandom(32))
    for _ in range(n // 1_000):
        store.append_drafts(drafts(1_000))
    seconds, cpu = spent(lambda: check(store, "it", vkey=store.signer.vkey).raise_if_broken())  # type: ignore[union-attr]
    store.close()
    said = f"{seconds:.2f} s (processor {cpu:.2f} s)"
    return Line(f"full verify of {n:,} records, profile {profile}", "< 5 s", said, seconds < 5)


def purging(folder: Path, n: int) -> Line:
    """Engagements of 1,000 records a second that a plan purges, with receipts, and the vacuum after them."""
    store = SQLiteStore(folder / "purge.db")
    for _ in range(n):
        store.append_drafts(drafts(1_000))
    policy = Retention(store, "1d")
    plan = policy.plan(now=datetime.now(UTC) + timedelta(days=3))
    seconds, cpu = spent(lambda: policy.apply(plan, progress=False))
    assert not store.list_engagements()
    store.close()
    return Line(
        "purge, engagements of 1,000 records a second",
        ">= 100",
        f"{n / seconds:.0f} (of the processor: {n / cpu:.0f})",
        n / seconds >= 100,
    )


def main() -> None:
    quick = "quick" in sys.argv[1:]
    part, rounds = (10, 3) if quick else (1, 7)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        verifying(folder, 1_000, "hash")  # what is imported on first use is imported now
        (folder / "verify-hash.db").unlink()
        lines = [caller(5_000, rounds), *writer(5_000 // part, rounds), *trees(1_000_000 // part)]
        lines += [verifying(folder, 100_000 // part, profile) for profile in ("hash", "audit")]
        lines.append(purging(folder, 300 // part))
    show("audit trail", lines)


if __name__ == "__main__":
    main()
