"""Checking a log against its seals, its own log and a head that was kept: nothing that is read is trusted.

Leaf hashes are computed anew from the stored columns, trees from them, and compared with the roots in the seals; the
entries of the store's own log likewise with its head. Sources: RFC 9162 (trees), CONTRACTS of the log in `store.leaf`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from ..core.errors import InvalidArgumentError, StoreError
from ..store._entries import EntryRow, LogHead, entry_hash
from ..store._fields import closed_paths, fields_of
from ..store.blobs import blob_id_of
from ..store.leaf import INDEX, NAMES, Row, Tree, hidden_groups, is_audit, is_closed, leaf_hash
from . import _note
from ._needed import needed
from ._report import Covered, Finding, Report

_ATTEMPTS = 3
_N, _TYPE = INDEX["n"], INDEX["type"]
_SALT, _BODY = INDEX["salt"], INDEX["body"]


class Evidence(Protocol):
    """What is needed of a store, or of an export of one."""

    def scan(self, columns: Sequence[str]) -> Any: ...
    def scan_blobs(self) -> Any: ...
    def scan_streams(self) -> Any: ...
    def n_records(self) -> int: ...
    def entry_rows(self) -> list[EntryRow]: ...
    def log_head(self) -> LogHead: ...


@dataclass(slots=True)
class Told:
    """What the store's own log says."""

    seals: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """By stream, in order."""
    purged: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By engagement."""
    redacted: set[tuple[str, int]] = field(default_factory=set)
    """(stream, position) of records whose body was taken out."""
    fields: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    """The same of records of which fields were taken out; where these have no commitments of their own, the body."""
    redacted_blobs: set[tuple[str, str]] = field(default_factory=set)
    """(engagement, blob)."""
    gaps: int = 0
    is_export: bool = False
    is_partial: bool = False


def check(source: Evidence, name: str, *, vkey: str | None = None, since: str | None = None) -> Report:
    """Verify everything in `source`; never raises for what it finds. Raises InvalidArgumentError for a `vkey` or
    `since` that is none.

    Of an export (`source.is_export`), content that is not there is withheld; of one of some engagements
    (`source.is_partial`), the others are left out.
    """
    kept = None if since is None else _note.parse(since)
    head = source.log_head()
    report = _checked(source, head, name, vkey, kept)
    for _ in range(_ATTEMPTS):
        if report.ok or (now := source.log_head()) == head:
            break
        head = now  # what was sealed, redacted or purged meanwhile is no finding: what was read is of two moments
        report = _checked(source, head, name, vkey, kept)
    return report


def _checked(source: Evidence, head: LogHead, name: str, vkey: str | None, kept: _note.TreeHead | None) -> Report:
    report = Report(name, head.size, head.root.hex() if _is_whole(head) else "")
    _check_note(report, head, vkey)
    try:
        entries = source.entry_rows()
        told = _check_log(report, entries, head)
        told.is_export = getattr(source, "is_export", False)
        told.is_partial = getattr(source, "is_partial", False)
        if kept is not None:
            _check_since(report, entries, kept, vkey)
        n_records = source.n_records()
        before = _heads(source)
        streams = _streams(source)
        found = sum(map(len, streams.values()))
        if found < n_records:
            report.findings.append(Finding("record_hidden", name, f"{n_records} records", f"{found} that can be read"))
        after = _heads(source)
        for stream_id, rows in streams.items():
            _check_stream(report, stream_id, rows, told, before.get(stream_id))
            _check_end(report, stream_id, rows, after.get(stream_id))
        _check_absent(report, streams, told)
        _check_unsealed_absent(report, before.keys() & after.keys() - streams.keys(), told, after)
        _check_blobs(report, source, told)
    except (StoreError, ValueError, TypeError, OverflowError) as error:
        report.findings.append(Finding("unreadable", name, "what was recorded", str(error) or type(error).__name__))
    return report


def _is_whole(head: LogHead) -> bool:
    return len(head.frontier) == 32 * head.size.bit_count()


# --- the store's own log ---


def _check_log(report: Report, entries: list[EntryRow], head: LogHead) -> Told:
    tree, told = Tree(), Told()
    for place, (seq, at_us, kind, body) in enumerate(entries):
        if seq != place + 1:
            report.findings.append(
                Finding("entry_missing", f"entry {place + 1} of the log", "an entry", f"entry {seq}")
            )
            break
        tree.append(entry_hash(at_us, kind, body))
        _take(told, kind, body, report, seq)
    if tree.size != head.size or not _is_whole(head) or tree.to_bytes() != head.frontier:
        got = f"{tree.size} entries with root {tree.root().hex()[:16]}…"
        report.findings.append(
            Finding("head_changed", "the store's own log", f"{head.size} entries, root {report.root[:16]}…", got)
        )
    return told


def _take(told: Told, kind: str, body: bytes, report: Report, seq: int) -> None:
    try:
        said = orjson.loads(body)
        if kind == "seal":
            size, names = said["size"], [said[name] for name in ("stream", "engagement", "root")]
            if type(size) is not int or not all(type(one) is str for one in names):
                raise TypeError("a seal says of which stream, how long it is and by which root")
            told.seals[said["stream"]].append(said)
        elif kind == "purge":
            told.purged[said["engagement"]] = said
        elif kind == "redaction":
            for stream, n, *paths in said.get("records", ()):
                if paths:
                    told.fields[stream, int(n)].update(paths[0])
                else:
                    told.redacted.add((stream, int(n)))
            told.redacted_blobs.update((said["engagement"], blob) for blob in said.get("blobs", ()))
        elif kind == "gap":
            told.gaps += int(said.get("count", 0))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        report.findings.append(Finding("bad_entry", f"entry {seq} of the log", f"a {kind}", f"{error!r}"))


def _check_note(report: Report, head: LogHead, vkey: str | None) -> None:
    if vkey is None:
        report.notes.append("no verifier key was given: whoever can write to the store could have written it anew")
        return
    origin, _ = _note.parse_verifier_key(vkey)
    if head.note is None:
        report.findings.append(Finding("head_unsigned", "the head of the log", f"a signature of {origin}", "none"))
        return
    try:
        signed = _note.parse(head.note)
    except InvalidArgumentError as error:
        report.findings.append(Finding("head_unsigned", "the head of the log", "a signed note", str(error)))
        return
    if not _note.is_signed(signed, vkey):
        got = f"a note of {signed.origin} by {', '.join(name for name, _ in signed.signatures)}"
        report.findings.append(Finding("bad_signature", "the head of the log", f"a signature of {origin}", got))
    elif (signed.size, signed.root.hex()) != (report.size, report.root):
        expected = f"{signed.size} entries, root {signed.root.hex()[:16]}…"
        got = f"{report.size} entries, root {report.root[:16]}…"
        report.findings.append(Finding("head_changed", "the signed head of the log", expected, got))
    else:
        report.signed_by = origin


def _check_since(report: Report, entries: list[EntryRow], kept: _note.TreeHead, vkey: str | None) -> None:
    if vkey is not None and not _note.is_signed(kept, vkey):
        origin, _ = _note.parse_verifier_key(vkey)
        report.findings.append(
            Finding("bad_signature", "the head that was kept", f"a signature of {origin}", f"one of {kept.origin}")
        )
    if kept.size > len(entries):
        got = f"{len(entries)} entries: the store was set back"
        report.findings.append(Finding("history_changed", "the log", f"at least {kept.size} entries", got))
        return
    tree = Tree()
    for _, at_us, kind, body in entries[: kept.size]:
        tree.append(entry_hash(at_us, kind, body))
    if tree.root() != kept.root:
        report.findings.append(
            Finding(
                "history_changed",
                f"the first {kept.size} entries of the log",
                f"root {kept.root.hex()[:16]}…",
                f"{tree.root().hex()[:16]}…",
            )
        )
    else:
        report.since = kept.size


# --- streams ---


def _streams(source: Evidence) -> dict[str, list[Row]]:
    """Every row by stream, in order of position."""
    table = source.scan(list(NAMES))
    streams: dict[str, list[Row]] = defaultdict(list)
    for row in _rows(table):
        streams[row[1]].append(row)
    for rows in streams.values():
        rows.sort(key=lambda row: row[_N])
    return streams


def _rows(table: Any) -> Iterator[Row]:
    for batch in table.to_batches(max_chunksize=20_000):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _heads(source: Evidence) -> dict[str, tuple[str, int, bytes]]:
    """(engagement, size, frontier) of every stream, as the store says."""
    columns = ["stream_id", "engagement_id", "size", "frontier"]
    return {key: (owner, size, frontier) for key, owner, size, frontier in _rows(source.scan_streams().select(columns))}


def _check_end(report: Report, stream_id: str, rows: list[Row], head: tuple[str, int, bytes] | None) -> None:
    """No record that the stream's own head, read after the records, does not know."""
    if head is not None and len(rows) > head[1]:
        where = f"the end of stream {stream_id}"
        said = (f"{head[1]} records", f"{len(rows)}", rows[0][0], stream_id, head[1])
        report.findings.append(Finding("record_added", where, *said))
        report.engagements[rows[0][0]].is_broken = True


def _check_unsealed_absent(
    report: Report, missing: Iterable[str], told: Told, heads: dict[str, tuple[str, int, bytes]]
) -> None:
    """Streams that the store knows, and of which no record is there; those that were sealed are told already."""
    for stream_id in sorted(missing):
        engagement_id, size, _ = heads[stream_id]
        if size and stream_id not in told.seals:
            said = (f"stream {stream_id}", f"{size} records", "none", engagement_id, stream_id)
            report.findings.append(Finding("stream_missing", *said))
            report.engagements.setdefault(engagement_id, Covered(engagement_id)).is_broken = True


def _check_stream(
    report: Report, stream_id: str, rows: list[Row], told: Told, head: tuple[str, int, bytes] | None
) -> None:
    engagement_id = rows[0][0]
    covered = report.engagements.setdefault(engagement_id, Covered(engagement_id))
    before = len(report.findings)

    def broken(kind: str, where: str, expected: str, got: str, n: int | None = None) -> None:
        report.findings.append(Finding(kind, where, expected, got, engagement_id, stream_id, n))

    if engagement_id in told.purged:
        broken("not_purged", f"engagement {engagement_id}", "nothing: its purge is on record", f"{len(rows)} records")
    seals = {seal["size"]: seal for seal in told.seals.get(stream_id, ())}
    tree, last_sealed = Tree(), 0
    for place, row in enumerate(rows):
        if row[_N] != place:
            kind = "record_twice" if row[_N] < place else "record_missing"
            broken(kind, f"record {place} of stream {stream_id}", f"position {place}", f"position {row[_N]}", place)
            break
        if row[0] != engagement_id:
            broken("record_moved", f"record {place} of stream {stream_id}", engagement_id, str(row[0]), place)
        covered.n_redacted += _check_body(row, told, broken, covered)
        tree.append(_leaf(row))
        seal = seals.get(place + 1)
        if seal is not None:
            if tree.root().hex() != seal["root"] or seal["engagement"] != engagement_id:
                where = f"records {last_sealed} to {place} of stream {stream_id}"
                broken("record_changed", where, f"root {seal['root'][:16]}…", f"{tree.root().hex()[:16]}…")
                break
            last_sealed = place + 1
        if head is not None and place + 1 == head[1] and tree.to_bytes() != head[2]:
            broken("stream_changed", f"stream {stream_id}", "the tree that the stream's head tells", "another", place)
    latest, known = max(seals, default=0), 0 if head is None else head[1]
    if latest > len(rows):
        broken("record_missing", f"stream {stream_id}", f"{latest} sealed records", f"{len(rows)}", len(rows))
    elif known > len(rows):
        broken("record_missing", f"stream {stream_id}", f"{known} records", f"{len(rows)}", len(rows))
    covered.n_records += len(rows)
    covered.n_sealed += last_sealed
    covered.is_broken = covered.is_broken or len(report.findings) > before
    if rows[0][_TYPE] == "gap" or any(row[_TYPE] == "gap" for row in rows):
        covered.n_missing += sum(_gap_count(row) for row in rows if row[_TYPE] == "gap")


def _leaf(row: Row) -> bytes:
    try:
        return leaf_hash(row)
    except Exception:  # a column of another type than it has: whatever it is, it is not what was hashed
        return b"\x00" * 32


def _gap_count(row: Row) -> int:
    try:
        return int(orjson.loads(row[_BODY]).get("count", 1))
    except (ValueError, TypeError, AttributeError):
        return 1


def _check_body(row: Row, told: Told, broken: Any, covered: Covered) -> bool:
    """Whether the record's body or a part of it was taken out; a finding where that is not on record."""
    place, where = (row[1], row[_N]), f"record {row[_N]} of stream {row[1]}"
    is_gone = is_closed(*row[-3:])
    is_told = place in told.redacted or (place in told.fields and not is_audit(row[_SALT]))
    if row[_BODY] is not None and not is_told and is_audit(row[_SALT]):
        return _check_fields(row, told, where, broken, covered)
    covered.withheld += [f"header:{group} of {where}" for group in hidden_groups(row)]
    if is_gone and not is_told and place not in told.fields and told.is_export:
        covered.withheld.append(f"body of {where}")
    elif is_gone and not is_told and place not in told.fields:
        broken("content_missing", where, "its content, or the receipt of a redaction", "neither", row[_N])
    if is_told and row[_BODY] is not None:
        broken("content_present", where, "no content: its redaction is on record", "content", row[_N])
    return is_gone and is_told


def _check_fields(row: Row, source: Told, where: str, broken: Any, covered: Covered) -> bool:
    """The same of a body whose fields can be closed one by one."""
    try:
        closed, there = set(closed_paths(row[_BODY])), {path for path, _ in fields_of(row[_BODY])}
    except ValueError:
        return False  # whatever it is, its leaf hash does not fit
    told = source.fields.get((row[1], row[_N]), set())
    covered.withheld += [f"header:{group} of {where}" for group in hidden_groups(row)]
    if source.is_export:
        covered.withheld += [f"{path} of {where}" for path in sorted(closed - told)]
    for path in () if source.is_export else sorted(closed - told):
        broken(
            "content_missing", f"{path} of {where}", "its content, or the receipt of a redaction", "neither", row[_N]
        )
    for path in sorted((told & there) - closed):
        broken("content_present", f"{path} of {where}", "no content: its redaction is on record", "content", row[_N])
    return bool(closed & told)


def _check_absent(report: Report, streams: dict[str, list[Row]], told: Told) -> None:
    """Streams that were sealed and are not there: purged with a receipt that fits, or missing."""
    for engagement_id in told.purged:
        report.engagements.setdefault(engagement_id, Covered(engagement_id)).is_purged = True
    for stream_id, seals in told.seals.items():
        if stream_id in streams:
            continue
        last = seals[-1]
        receipt = told.purged.get(last["engagement"])
        if receipt is None and told.is_partial:
            report.engagements.setdefault(last["engagement"], Covered(last["engagement"])).is_left_out = True
        elif receipt is None:
            report.findings.append(
                Finding(
                    "stream_missing",
                    f"stream {stream_id} of engagement {last['engagement']}",
                    f"{last['size']} sealed records, or the receipt of a purge",
                    "neither",
                    last["engagement"],
                    stream_id,
                )
            )
            covered = report.engagements.setdefault(last["engagement"], Covered(last["engagement"]))
            covered.is_broken = True
        elif not any(one[0] == stream_id and one[1] >= last["size"] for one in receipt.get("streams", ())):
            report.findings.append(
                Finding(
                    "receipt_short",
                    f"the purge of engagement {last['engagement']}",
                    f"stream {stream_id} with {last['size']} records",
                    "it is not in the receipt",
                    last["engagement"],
                    stream_id,
                )
            )


def _check_blobs(report: Report, source: Evidence, told: Told) -> None:
    """Blobs commit to their content by their id; every one that is referred to is there, or redacted."""
    there: dict[str, dict[str, bytes]] = defaultdict(dict)
    columns = ["engagement_id", "blob_id", "salt", "media", "data"]
    for engagement_id, blob_id, salt, media, data in _rows(source.scan_blobs().select(columns)):
        there[engagement_id][blob_id] = data
        if blob_id_of(salt, media, data) != blob_id:
            _blob_finding(report, "blob_changed", engagement_id, blob_id, "content that its id commits to", "another")
        if (engagement_id, blob_id) in told.redacted_blobs:
            _blob_finding(report, "content_present", engagement_id, blob_id, "nothing: it was redacted", "content")
    bodies: dict[str, list[bytes]] = defaultdict(list)
    for engagement_id, body in _rows(source.scan(["engagement_id", "body"])):
        if body is not None and b'"$ftnb"' in body:
            bodies[engagement_id].append(body)
    for engagement_id, said in bodies.items():
        for blob_id in sorted(needed(said, there[engagement_id]) - there[engagement_id].keys()):
            if (engagement_id, blob_id) in told.redacted_blobs:
                report.engagements.setdefault(engagement_id, Covered(engagement_id)).n_redacted += 1
            elif told.is_export:
                covered = report.engagements.setdefault(engagement_id, Covered(engagement_id))
                covered.withheld.append(f"value {blob_id}")
            else:
                expected = "its content, or the receipt of a redaction"
                _blob_finding(report, "blob_missing", engagement_id, blob_id, expected, "neither")


def _blob_finding(report: Report, kind: str, engagement_id: str, blob_id: str, expected: str, got: str) -> None:
    where = f"value {blob_id} of engagement {engagement_id}"
    report.findings.append(Finding(kind, where, expected, got, engagement_id))
    report.engagements.setdefault(engagement_id, Covered(engagement_id)).is_broken = True
