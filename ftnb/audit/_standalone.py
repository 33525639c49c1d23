"""Check a proof bundle of ftnb (*.ftproof.zip) with Python's standard library and the openssl command, nothing else.

    python verify.py bundle.ftproof.zip vkey.txt

`vkey.txt` holds the verifier key of whoever recorded; it must have reached you by another way than the bundle. It
prints what is proved, withheld and redacted, and ends with 0; with 1 and the first thing that does not hold.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_BYTES = 1 << 28
"""Of all files in a bundle together, unpacked."""
NAMES = ("README.txt", "disclosures.ndjson", "proof.txt", "records.ndjson", "verify.py", "vkey.txt")
COLUMNS = (
    "engagement_id", "stream_id", "n", "v", "type", "at_us", "turn", "step_id", "parent_id", "event_id", "name", "ns",
    "visit", "attempt", "kind", "status", "duration_us", "ttft_us", "model", "tok_prompt", "tok_completion",
    "tok_total", "tok_cache_read", "tok_cache_write", "tok_reasoning", "error_type", "n_bytes",
)  # fmt: skip
GROUPS = {
    "identity": ("step_id", "parent_id", "event_id", "visit", "attempt"),
    "names": ("name", "ns", "model", "error_type"),
    "timing": ("at_us", "duration_us", "ttft_us"),
    "usage": (
        "tok_prompt", "tok_completion", "tok_total", "tok_cache_read", "tok_cache_write", "tok_reasoning", "n_bytes",
    ),
}  # fmt: skip
CLEAR = tuple(name for name in COLUMNS if not any(name in names for names in GROUPS.values()))
HEX = re.compile(r"[0-9a-f]{64}")
BLOB_ID = re.compile(r'"([A-Za-z0-9_-]{43})"')


class Broken(Exception):
    """Something does not hold; says what was expected and what was got."""


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def require(holds: Any, where: str, expected: str, got: Any) -> None:
    if not holds:
        raise Broken(f"{where}: expected {expected}, got {str(got)[:100]}")


# --- reading: strict, so that one content has one spelling ---


def read_bundle(path: str) -> dict[str, bytes]:
    """The files of the bundle, by name; nothing is written anywhere, and no more is read than `MAX_BYTES`."""
    files: dict[str, bytes] = {}
    left = MAX_BYTES
    size = Path(path).stat().st_size
    require(size <= MAX_BYTES, "the bundle", f"at most {MAX_BYTES} bytes", size)
    whole = Path(path).read_bytes()
    check_bytes(whole)
    try:
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            names = [info.filename for info in archive.infolist()]
            require(len(names) <= len(NAMES) and sorted(names) == sorted(set(names)), "the bundle", "its files", names)
            require(set(names) <= set(NAMES), "the bundle", f"files {', '.join(NAMES)}", names)
            for info in archive.infolist():
                with archive.open(info) as file:
                    data = file.read(left + 1)
                left -= len(data)
                require(left >= 0, "the bundle", f"at most {MAX_BYTES} bytes", "more")
                files[info.filename] = data
    except Broken:
        raise
    except Exception as error:  # zipfile raises many kinds for damaged files
        raise Broken(f"the bundle: expected a zip file that can be read, got {error!r:.200}") from None
    missing = {"proof.txt", "records.ndjson", "disclosures.ndjson"} - set(files)
    require(not missing, "the bundle", "proof.txt, records.ndjson, disclosures.ndjson", f"no {sorted(missing)}")
    return files


def check_bytes(whole: bytes) -> None:
    """A zip file ends with its comment, here the SHA-256 of all that is before it; whoever took lines out and packed it
    again has none, and what is in it is checked all the same."""
    without_comment = whole[-22:-18] == b"PK\x05\x06" and whole[-2:] == b"\x00\x00"
    told, got = whole[-64:].decode("ascii", "replace"), hashlib.sha256(whole[:-64]).hexdigest()
    where, expected = "the bytes of the bundle", "their SHA-256 at its end"
    require(without_comment or told == got, where, expected, f"{got[:16]}… of bytes that end with {told[-16:]!r}")


def lines_of(data: bytes, name: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file, one a line; each must be written as this program would write it."""
    for place, line in enumerate(decode(data, name).split("\n")[:-1]):
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            said = None
        require(isinstance(said, dict) and encode(said) == line, f"line {place + 1} of {name}", "canonical JSON", line)
        yield said
    require(not data or data.endswith(b"\n"), name, "whole lines", "a part of one at its end")


def encode(said: Any) -> str:
    return json.dumps(said, sort_keys=True, separators=(",", ":"), allow_nan=False)


def decode(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Broken(f"{name}: expected UTF-8, got other bytes") from None


def b64(text: str, where: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    require(base64.b64encode(data).decode() == text, where, "base64", text)
    return data


def from_hex(text: Any, where: str, size: int) -> bytes:
    good = isinstance(text, str) and re.fullmatch(r"[0-9a-f]*", text) and len(text) == 2 * size
    require(good, where, f"{size} bytes in hex", text)
    return bytes.fromhex(text)


# --- the head and the log (RFC 9162, C2SP signed-note) ---


def check_note(note: str, vkey: str | None) -> tuple[int, bytes]:
    """Size and root of the log in the signed head; with `vkey`, its signature is checked with openssl."""
    text, separator, rest = note.partition("\n\n")
    lines = text.split("\n")
    good = separator and len(lines) == 3 and re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1])
    require(good and (not rest or rest.endswith("\n")), "the head", "three lines and signatures", note)
    root = b64(lines[2], "the head")
    require(len(root) == 32, "the head", "a root hash", lines[2])
    if vkey is not None:
        origin, key_id, public = parse_vkey(vkey)
        require(lines[0] == origin, "the head", f"the log of {origin}", lines[0])
        signed = [one for one in rest.split("\n")[:-1] if one.startswith(f"— {origin} ")]
        signatures = [b64(one.rsplit(" ", 1)[1], "the head's signature") for one in signed]
        ours = [one[4:] for one in signatures if one[:4] == key_id]
        found = any(is_signed(public, one, (text + "\n").encode()) for one in ours)
        require(found, "the head", f"a signature by the key of {origin}", rest or "none")
    return int(lines[1]), root


def parse_vkey(vkey: str) -> tuple[str, bytes, bytes]:
    found = re.fullmatch(r"([^+\s]+)\+([0-9a-f]{8})\+(\S+)", vkey.strip())
    require(found, "the verifier key", "<origin>+<id>+<key>", vkey)
    assert found is not None
    data = b64(found[3], "the verifier key")
    key_id = sha(found[1].encode() + b"\n" + data)[:4]
    good = len(data) == 33 and data[:1] == b"\x01" and key_id.hex() == found[2]
    require(good, "the verifier key", "an Ed25519 key that fits its id", vkey)
    return found[1], key_id, data[1:]


def is_signed(public: bytes, signature: bytes, text: bytes) -> bool:
    """Whether openssl says that the Ed25519 signature is right."""
    der = bytes.fromhex("302a300506032b6570032100") + public
    with tempfile.TemporaryDirectory() as folder:
        files = {"key.der": der, "text": text, "signature": signature}
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        command = "openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in text -sigfile signature"
        try:
            ended = subprocess.run(command.split(), cwd=folder, capture_output=True, check=False, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            raise Broken(f"the signature: expected the openssl command to run, got {error!r}") from None
    return ended.returncode == 0 and b"Signature Verified Successfully" in ended.stdout


def root_by_path(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """The root that an audit path leads to, RFC 9162 section 2.1.3.2; None for a path of the wrong shape."""
    if not 0 <= index < size:
        return None
    fn, sn, result = index, size - 1, leaf
    for one in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            result = sha(b"\x01" + one + result)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            result = sha(b"\x01" + result + one)
        fn, sn = fn >> 1, sn >> 1
    return result if sn == 0 else None


def check_proof(text: str, vkey: str | None) -> tuple[str, list[tuple[str, dict[str, Any]]], int]:
    """The engagement, the entries of the log that the head proves (kind, what it says), and the size of the log."""
    above, separator, note = text.partition("\n\n")
    lines = above.split("\n")
    good = separator and lines[0] == "ftnb.proof/1" and len(lines) > 1 and lines[1].startswith("engagement ")
    require(good, "proof.txt", "a proof of ftnb", text)
    size, root = check_note(note, vkey)
    found: list[tuple[str, dict[str, Any]]] = []
    at = 2
    while at < len(lines):
        entry = re.fullmatch(r"entry (0|[1-9][0-9]{0,18}) (-?[0-9]{1,19}) ([a-z_]+) (\{.*\})", lines[at])
        require(entry, "proof.txt", "a line 'entry …'", lines[at])
        assert entry is not None
        at += 1
        path = []
        while at < len(lines) and not lines[at].startswith("entry "):
            path.append(b64(lines[at], "proof.txt"))
            require(len(path[-1]) == 32 and len(path) <= 64, "proof.txt", "a path of hashes", lines[at])
            at += 1
        kind, body = entry[3], entry[4].encode()
        header = b"i%d;t%d:%s;b%d:" % (int(entry[2]), len(kind), kind.encode(), len(body))
        require(str(int(entry[2])) == entry[2], "proof.txt", "a time", entry[2])
        leaf = sha(b"\x00ftnb/1e" + header + body + b";")
        got = root_by_path(leaf, int(entry[1]), size, path)
        require(got == root, f"entry {entry[1]} of the log", f"root {root.hex()[:16]}…", got and got.hex()[:16])
        found.append((kind, json.loads(body)))
    return lines[1].removeprefix("engagement "), found, size


# --- records ---


def piece(value: Any) -> bytes:
    """A column as it is hashed."""
    if value is None:
        return b"-;"
    if type(value) is int:
        return b"i%d;" % value
    require(isinstance(value, str), "a column", "a number, text or null", value)
    encoded = value.encode()
    return b"t%d:%s;" % (len(encoded), encoded)


def body_of_fields(fields: list[Any], where: str) -> bytes:
    """The commitment to a body, from those to its fields."""
    whole = b"ftnb/1f"
    for one in fields:
        require(isinstance(one, list) and len(one) == 2 and isinstance(one[0], str), where, "a path and a hash", one)
        whole += piece(one[0]) + from_hex(one[1], where, 32)
    return sha(whole)


def leaf_of(record: dict[str, Any], where: str) -> bytes:
    """The leaf hash of a record, from its columns and commitments."""
    if "groups" not in record:
        require(set(record) <= {*COLUMNS, "commitment"}, where, "columns of a record", sorted(record))
        header = b"".join(piece(record.get(name)) for name in COLUMNS)
        commitment = record.get("commitment")
        body = b"-;" if commitment is None else b"b32:" + from_hex(commitment, where, 32) + b";"
        return sha(b"\x00ftnb/1" + header + body)
    known = {*CLEAR, "groups", "fields", "commitment"}
    require(set(record) <= known and not {"fields", "commitment"} <= set(record), where, "columns", sorted(record))
    groups = record["groups"]
    require(isinstance(groups, list) and len(groups) == len(GROUPS), where, f"{len(GROUPS)} groups", groups)
    header = b"".join(piece(record.get(name)) for name in CLEAR)
    header += b"".join(from_hex(group, where, 32) for group in groups)
    body = b"-;"
    if "fields" in record:
        require(isinstance(record["fields"], list), where, "a list of fields", record["fields"])
        body = b"b32:" + body_of_fields(record["fields"], where) + b";"
    elif "commitment" in record:
        body = b"b32:" + from_hex(record["commitment"], where, 32) + b";"
    return sha(b"\x00ftnb/1a" + header + body)


class Streams:
    """The trees of the records, grown record by record and compared with the seals."""

    def __init__(self, engagement: str, entries: list[tuple[str, dict[str, Any]]]) -> None:
        self.engagement = engagement
        self.seals: dict[str, dict[int, str]] = {}
        for kind, said in entries:
            if kind == "seal":
                require(said.get("engagement") == engagement, "a seal", f"one of {engagement}", said)
                self.seals.setdefault(str(said["stream"]), {})[int(said["size"])] = str(said["root"])
        self.records: dict[tuple[str, int], dict[str, Any]] = {}
        self.n_sealed = 0
        self._stream, self._leaves = "", list[bytes]()

    def add(self, record: dict[str, Any], where: str) -> None:
        """The next record; streams come one after the other, each from its beginning."""
        stream, n = record.get("stream_id"), record.get("n")
        if stream != self._stream:
            self.end()
            require(isinstance(stream, str) and (stream, 0) not in self.records, where, "a stream at once", stream)
            self._stream, self._leaves = str(stream), []
        require(type(n) is int and n == len(self._leaves), where, f"position {len(self._leaves)}", n)
        require(record.get("engagement_id") == self.engagement, where, self.engagement, record.get("engagement_id"))
        self.records[self._stream, len(self._leaves)] = record
        self._leaves.append(leaf_of(record, where))

    def end(self) -> None:
        """Compare the stream that ends with its seals."""
        seals = self.seals.pop(self._stream, {}) if self._stream else {}
        for size, root in seals.items():
            where = f"stream {self._stream}"
            require(size <= len(self._leaves), where, f"{size} sealed records", len(self._leaves))
            got = tree_root(self._leaves[:size]).hex()
            require(got == root, f"records 0 to {size - 1} of {where}", f"root {root[:16]}…", f"{got[:16]}…")
        self.n_sealed += max(seals, default=0)

    def whole(self) -> None:
        """Every stream that was sealed must be there."""
        self.end()
        require(not self.seals, "the bundle", "the records of every sealed stream", f"none of {sorted(self.seals)}")


def tree_root(level: list[bytes]) -> bytes:
    """The root hash over leaf hashes, RFC 9162 section 2.1.1."""
    if not level:
        return sha(b"")
    while len(level) > 1:
        paired = [sha(b"\x01" + level[i] + level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(level) & ~1 :]
    return level[0]


# --- disclosures ---


class Disclosed:
    """What the bundle shows of what its records commit to."""

    def __init__(self, records: dict[tuple[str, int], dict[str, Any]]) -> None:
        self.records = records
        self.shown: set[tuple[str, int, str]] = set()
        self.texts: list[str] = []
        self.blobs: dict[str, str] = {}

    def add(self, said: dict[str, Any], where: str) -> None:
        """One disclosure; it must fit a commitment."""
        if "blob" in said:
            self._blob(said, where)
            return
        record = self.records.get((str(said.get("stream")), said["n"] if type(said.get("n")) is int else -1))
        require(record is not None, where, "a record of the bundle", said)
        assert record is not None
        keys = set(said) - {"stream", "n", "salt"}
        if keys == {"body"}:
            what, expected = "", record.get("commitment") if "groups" not in record else None
            salt, got = from_hex(said.get("salt"), where, 16), said["body"]
            require(isinstance(got, str), where, "text", got)
            found = sha(salt + got.encode())
            self.texts.append(got)
        elif keys == {"field", "value"}:
            what, value = str(said["field"]), said["value"]
            expected = next((one[1] for one in record.get("fields", ()) if one[0] == what), None)
            salt = from_hex(said.get("salt"), where, 16)
            require(isinstance(value, str), where, "text", value)
            found = sha(b"f" + salt + piece(what) + value.encode())
            self.texts.append(value)
        else:
            require(keys == {"group", "columns"} and said["group"] in GROUPS, where, "a disclosure", sorted(keys))
            what, columns = f"header:{said['group']}", said["columns"]
            place = list(GROUPS).index(said["group"])
            expected = record.get("groups", [None] * len(GROUPS))[place]
            good = isinstance(columns, dict) and set(columns) <= set(GROUPS[said["group"]])
            require(good and None not in columns.values(), where, "columns of the group", columns)
            salt = from_hex(said.get("salt"), where, 16)
            found = sha(b"g" + salt + b"".join(piece(columns.get(name)) for name in GROUPS[said["group"]]))
        require(expected is not None and found.hex() == expected, where, "content that its record commits to", said)
        key = (record["stream_id"], record["n"], what)
        require(key not in self.shown, where, "one disclosure of it", "another")
        self.shown.add(key)

    def _blob(self, said: dict[str, Any], where: str) -> None:
        require(set(said) == {"blob", "data", "media", "salt"}, where, "a value", sorted(said))
        data, media = b64(str(said["data"]), where), str(said["media"])
        digest = sha(from_hex(said["salt"], where, 16) + media.encode() + b"\x00" + data)
        found = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        require(found == said["blob"], where, "content that its id commits to", said)
        require(found not in self.blobs, where, "one disclosure of it", "another")
        self.blobs[found] = data.decode("utf-8", "replace")

    def unreached(self) -> set[str]:
        """Values that nothing which is shown refers to: whoever made the bundle could have made them up."""
        todo, reached = list(self.texts), set[str]()
        while todo:
            for found in BLOB_ID.findall(todo.pop()):
                if found in self.blobs and found not in reached:
                    reached.add(found)
                    todo.append(self.blobs[found])
        return set(self.blobs) - reached

    def hidden(self) -> tuple[list[tuple[str, int, str]], set[str]]:
        """Commitments that are not disclosed (stream, position, which), and values that what is shown refers to and
        that are not there."""
        missing = []
        for (stream, n), record in self.records.items():
            if "commitment" in record:
                missing.append((stream, n, ""))
            missing += [(stream, n, one[0]) for one in record.get("fields", ())]
            missing += [(stream, n, f"header:{name}") for name in GROUPS if "groups" in record]
        marks = re.compile(r'"\$ftnb":"(?:ref|media)"')
        wanted = set[str]()
        for text in (*self.texts, *self.blobs.values()):
            if marks.search(text) or '"$ftnb":"list"' in text:
                wanted |= _referred(text)
        return [one for one in missing if one not in self.shown], wanted - set(self.blobs)


def _referred(text: str) -> set[str]:
    """Ids in the markers of a JSON text."""
    found, todo = set[str](), [_loaded(text)]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            if value.get("$ftnb") in ("ref", "media"):
                found.add(str(value.get("id")))
            elif value.get("$ftnb") == "list":
                found |= set(map(str, value.get("chunks", ())))
            todo += value.values()
        elif isinstance(value, list):
            todo += value
    return found


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


# --- all of it ---


def verify(files: dict[str, bytes], vkey: str | None) -> dict[str, Any]:
    """What the bundle proves. Raises Broken at the first thing that does not hold."""
    engagement, entries, size = check_proof(decode(files["proof.txt"], "proof.txt"), vkey)
    streams = Streams(engagement, entries)
    for place, record in enumerate(lines_of(files["records.ndjson"], "records.ndjson")):
        streams.add(record, f"record {place + 1}")
    streams.whole()
    disclosed = Disclosed(streams.records)
    for place, said in enumerate(lines_of(files["disclosures.ndjson"], "disclosures.ndjson")):
        disclosed.add(said, f"disclosure {place + 1}")
    unreached = disclosed.unreached()
    require(not unreached, "the disclosures", "values that what is shown refers to", sorted(unreached))
    redacted, redacted_blobs = _redacted(entries, engagement)
    back = sorted(one for one in disclosed.shown if one in redacted or (one[0], one[1], None) in redacted)
    back = [one for one in back if not one[2].startswith("header:")]
    require(not back and not redacted_blobs & set(disclosed.blobs), "the disclosures", "nothing redacted", back)
    hidden, missing = disclosed.hidden()
    withheld = [one for one in hidden if one not in redacted and (one[0], one[1], None) not in redacted]
    return {
        "engagement": engagement,
        "log_size": size,
        "records": len(streams.records),
        "sealed": streams.n_sealed,
        "redacted": len(hidden) - len(withheld) + len(missing & redacted_blobs),
        "withheld": [_place(*one) for one in withheld] + sorted(missing - redacted_blobs),
        "purged": any(kind == "purge" for kind, _ in entries),
    }


def _redacted(
    entries: list[tuple[str, dict[str, Any]]], engagement: str
) -> tuple[set[tuple[str, int, str | None]], set[str]]:
    """(stream, position, field; None: all of the body) and values that receipts in the log say were taken out."""
    found: set[tuple[str, int, str | None]] = set()
    blobs: set[str] = set()
    for kind, said in entries:
        if kind != "redaction" or said.get("engagement") != engagement:
            continue
        blobs |= set(map(str, said.get("blobs", ())))
        for stream, n, *paths in said.get("records", ()):
            found |= {(stream, n, path) for path in paths[0]} | {(stream, n, "")} if paths else {(stream, n, None)}
    return found, blobs


def _place(stream: str, n: int, what: str) -> str:
    return f"{what or 'body'} of record {n} of stream {stream}"


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2):
        print(__doc__)  # noqa: T201  (a script)
        return 2
    try:
        vkey = Path(arguments[1]).read_text("utf-8") if len(arguments) == 2 else None
        said = verify(read_bundle(arguments[0]), vkey)
    except (Broken, OSError) as error:
        print(f"DOES NOT VERIFY: {error}")  # noqa: T201
        return 1
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        print(f"DOES NOT VERIFY: expected a bundle of ftnb, got {error!r:.200}")  # noqa: T201
        return 1
    signed = "the head is signed by the key given" if vkey else "NO KEY WAS GIVEN: whoever made the bundle may lie"
    lines = [
        f"verified: engagement {said['engagement']}, {said['sealed']} of {said['records']} records under a seal",
        f"  log of {said['log_size']} entries; {signed}",
        f"  redacted: {said['redacted']}; withheld: {len(said['withheld'])}",
        *(f"  - withheld: {one}" for one in said["withheld"][:50]),
    ]
    print("\n".join(lines))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
