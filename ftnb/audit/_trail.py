"""What a store can prove: its head, whether everything under it still holds, and that one engagement belongs to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import InvalidArgumentError, StoreError, VerificationError
from . import _anchor, _note
from ._check import check
from ._panel import panel
from ._proof import Consistency, Proof
from ._prove import Prover
from ._report import Finding, Report
from ._state import state_of

if TYPE_CHECKING:
    from ._keys import Audit
    from ._redact import Redacted
    from ._select import Item

_NO_HEAD = "the store's own log is empty: nothing is sealed before a first turn ends"


_PROFILES = {"hash": "content is closed a body at a time", "audit": "every field has a commitment of its own"}


class Trail:
    """The audit trail of one store."""

    def __init__(self, store: Any) -> None:
        """`store` must keep a log of its own with a head, as SQLite, PostgreSQL and memory do."""
        if not getattr(store, "has_proofs", False):
            raise StoreError(f"{store!r} gives no proofs; record into SQLite or PostgreSQL to have them")
        self._store = store

    def __repr__(self) -> str:
        head = self._store.log_head()
        signed = "signed" if head.note else "not signed"
        return f"<audit trail: {head.size} entries, root {head.root.hex()[:16]}…, {signed}>"

    def sign_with(self, audit: Audit) -> Trail:
        """Sign the head from now on, beginning with it as it is, and record in the profile of `audit`.

        Raises as `Audit.signer` does.
        """
        self._store.signer, self._store.profile = audit.signer(), audit.profile
        self._store.append_entry("signer", {"vkey": self._store.signer.vkey, "profile": audit.profile})
        return self

    def stop_signing(self) -> None:
        """Leave the head unsigned from its next entry on, and record in profile `hash`."""
        self._store.signer, self._store.profile = None, "hash"

    @property
    def vkey(self) -> str | None:
        """The verifier key of whoever signs in this process; None: nobody does. Give it to whoever checks, by another
        way than the store."""
        return getattr(self._store.signer, "vkey", None)

    def seal(self) -> int:
        """Seal what is not yet: turns that still go on. How many streams were sealed."""
        sealed: int = self._store.seal()
        return sealed

    def head(self) -> Head:
        """The head of the store's own log, which covers every seal and receipt so far. Keep it outside the store."""
        head = self._store.log_head()
        return Head(head.size, head.root.hex(), head.note)

    def verify(self, *, vkey: str | None = None, since: str | PathLike[str] | Head | None = None) -> Report:
        """Check everything: records against seals, seals against the head, the head against its signature and against
        `since`, a head that was kept (its text, or a file with it). Never raises for what it finds; see `Report`.

        `vkey` None: that of whoever signs in this process. Raises InvalidArgumentError for what is no key or head.
        """
        return check(self._store, repr(self._store), vkey=vkey or self.vkey, since=note_text(since))

    def prove(self, engagement_id: str, step: Any = None) -> Proof:
        """The proof that an engagement's seals are in the log, and the records of a step (a handle, an id or a name)
        under them. `str(proof)` is its text; `proof.verify(vkey)` checks it, wherever it went.

        Raises UnknownEngagementError, UnknownStepError, NotRecordedError where nothing of it is sealed yet.
        """
        wanted = getattr(step, "id", step)
        return Prover(self._store).prove(str(getattr(engagement_id, "id", engagement_id)), wanted)

    def export(self, engagement_id: str, path: str | PathLike[str], *, withhold: Sequence[Item] = ()) -> Path:
        """Write a proof bundle of an engagement, which anybody can check without ftnb: `<name>.ftproof.zip`.

        `withhold` names what is left out: `"email"` (of the metadata), `"payload.text"`, `"step:search"`,
        `"header:names"`, a blob id, or (stream id, position). In profile `audit` that is the field alone, in `hash` the
        body or value that holds it. What is not sealed yet is sealed first, where the store can be written.

        Raises UnknownEngagementError, InvalidArgumentError for what is not there, StoreError.
        """
        from ._bundle import export

        wanted = str(getattr(engagement_id, "id", engagement_id))
        if not getattr(self._store, "read_only", False) and state_of(self._store, wanted) in ("unsealed", "gap"):
            self._store.seal("export", engagement_id=wanted)
        return export(self._store, wanted, path, withhold, self.vkey)

    def anchor(self, path: str | PathLike[str]) -> Path:
        """Add the head to a file outside the store, a line at its end, or to `heads.txt` in a folder; the file.

        Raises StoreError.
        """
        return _anchor.append(path, self.head().text)

    def verify_anchor(self, path: str | PathLike[str], *, vkey: str | None = None) -> Report:
        """`verify`, and every head in the anchor file is one that this log continues. See `anchor`.

        Raises StoreError, VerificationError for an anchor that cannot be read or is empty.
        """
        notes = _anchor.notes(path)
        if not notes:
            raise VerificationError(f"the anchor {str(path)!r}: expected at least one tree head, got none")
        report = self.verify(vkey=vkey, since=notes[-1])
        prover = Prover(self._store)
        for note in notes:
            kept = _note.parse(note)
            if kept.size > prover.head.size or prover.consistency(kept.size).root != kept.root:
                where, expected = f"the head of {kept.size} entries in the anchor", f"root {kept.root.hex()[:16]}…"
                got = f"a log of {prover.head.size} entries that does not continue it"
                report.findings.append(Finding("history_changed", where, expected, got))
        return report

    def timestamp_request(self) -> bytes:
        """The request of an RFC 3161 time stamp over the head, to be sent to an authority (nothing is sent here)."""
        return _anchor.timestamp_request(self.head().text)

    def redact(self, engagement_ids: str | Iterable[str] | None = None, **what: Any) -> Redacted:
        """Take content out of engagements (None: of all), for good, with every proof intact.

        One of `fields=[…]` (as `withhold` of `export`), `pattern=r"…"` and `all=True` says what. What a pattern finds
        is masked: readers see a copy with `[redacted]` in its place; fields are shown as withheld. In profile `hash` a
        body goes as a whole. `reason=` and `by=` are on record in the store's own log; the pattern itself is not.

        Raises InvalidArgumentError where a legal hold is on an engagement, unless `override="…"` says why it does not
        count; UnknownEngagementError; StoreError where nothing can be taken out.
        """
        from ._redact import redact

        if engagement_ids is None:
            ids = [one.id for one in self._store.list_engagements()]
        else:
            given = [engagement_ids] if isinstance(engagement_ids, str) else engagement_ids
            ids = [self._store.get_engagement(str(one)).id for one in given]
        return redact(self._store, ids, **what)

    def consistency(self, since: str | PathLike[str] | Head) -> Consistency:
        """The proof that the log continues `since`, a head that was kept, for somebody who has the two heads alone.

        Raises InvalidArgumentError for what is no head, VerificationError when the log does not continue it.
        """
        kept = _note.parse(note_text(since) or "")
        prover = Prover(self._store)
        if kept.size > prover.head.size:
            raise VerificationError(
                f"the log: expected at least {kept.size} entries, got {prover.head.size}: the store was set back"
            )
        proof = prover.consistency(kept.size)
        if proof.root != kept.root:
            raise VerificationError(
                f"the first {kept.size} entries of the log: expected root {kept.root.hex()[:16]}…, "
                f"got {proof.root.hex()[:16]}…"
            )
        return proof

    def _repr_html_(self) -> str:
        head = self.head()
        kinds = Counter(kind for _, _, kind, _ in self._store.entry_rows())
        said = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())) or _NO_HEAD
        rows = [
            ("log", f"{head.size} entries: {said}" if head.size else said),
            ("root hash", head.root),
            ("signed by", head.signed_by or "nobody: whoever can write to the store could write it anew"),
            ("key to give to others", self.vkey or "none in this process"),
            ("profile", f"{self._store.profile}: " + _PROFILES[self._store.profile]),
            ("keep outside", "head().save(path), anchor(folder), or this cell"),
        ]
        return panel("Audit trail", rows, head.text if head.size else None)


class Head:
    """A head of a store's own log. Its text is what to keep; printed, it is that text."""

    def __init__(self, size: int, root: str, note: str | None) -> None:
        self.size = size
        """Entries of the log."""
        self.root = root
        """Root hash, hex."""
        self.note = note
        """The signed note; None: nobody signs."""

    @property
    def text(self) -> str:
        """The signed note, or, unsigned, the same lines without a signature."""
        return self.note or _note.text_of("unsigned", self.size, bytes.fromhex(self.root)) + "\n"

    @property
    def signed_by(self) -> str | None:
        """The origin that it is signed for; None: it is not signed."""
        return None if self.note is None else _note.parse(self.note).origin

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the text to a file, outside the store. Raises StoreError."""
        try:
            Path(path).write_text(self.text, encoding="utf-8")
        except OSError as error:
            raise StoreError(f"cannot write the tree head to {str(path)!r}: {error}") from error
        return Path(path)

    def __repr__(self) -> str:
        return self.text


def note_text(since: str | PathLike[str] | Head | None) -> str | None:
    """The text of a head that was kept. Raises InvalidArgumentError for what is none."""
    if since is None or isinstance(since, Head):
        return None if since is None else since.text
    if isinstance(since, str) and "\n" in since:
        return since
    try:
        return Path(since).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidArgumentError(
            f"since= is a head that was kept: its text, or a file with it; {str(since)!r} cannot be read: {error}"
        ) from error
