"""Signed tree heads: C2SP `tlog-checkpoint` inside `signed-note` (https://c2sp.org), signed with Ed25519 (RFC 8032).

    acme/notebook-7                                  the origin: whose log this is
    1042                                             entries in the store's own log
    q8fpJ0…=                                         base64 of its root hash

    — acme/notebook-7 3Zt5GQ…=                       base64 of 4 bytes of key id and 64 of signature

A verifier key is one line, `<origin>+<key id in hex>+<base64 of 0x01 and the public key>`; it must reach whoever
verifies by another way than the trace does.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ..core._optional import require
from ..core.errors import InvalidArgumentError

_ED25519 = b"\x01"


@dataclass(frozen=True, slots=True)
class TreeHead:
    """What a note says: the log of `origin` had `size` entries and the root hash `root`."""

    origin: str
    size: int
    root: bytes
    text: str
    """The signed text, with the newline at its end."""
    signatures: tuple[tuple[str, bytes], ...] = ()
    """(name of the key, key id and signature)."""


def text_of(origin: str, size: int, root: bytes) -> str:
    """The text that is signed."""
    return f"{origin}\n{size}\n{b64encode(root).decode()}\n"


def parse(note: str) -> TreeHead:
    """Read a note; strict, so that one note has one meaning. Raises InvalidArgumentError."""
    text, separator, rest = note.partition("\n\n")
    lines = text.split("\n")
    try:
        if not separator or len(lines) < 3 or (rest and not rest.endswith("\n")):
            raise ValueError("it has no three lines and signatures after an empty one")
        root = _base64(lines[2])
        if len(root) != 32 or not lines[1].isascii() or not lines[1].isdigit() or str(int(lines[1])) != lines[1]:
            raise ValueError("its second line is no size, or its third no root hash")
        signatures = tuple(_signature(line) for line in rest[:-1].split("\n")) if rest else ()
    except ValueError as error:
        raise InvalidArgumentError(f"{note[:80]!r} is no signed tree head: {error}") from error
    return TreeHead(lines[0], int(lines[1]), root, text + "\n", signatures)


def _signature(line: str) -> tuple[str, bytes]:
    mark, _, rest = line.partition(" ")
    name, _, said = rest.partition(" ")
    signature = _base64(said)
    if mark != "—" or not name or len(signature) < 5:
        raise ValueError(f"{line[:40]!r} is no line of a signature")
    return name, signature


def _base64(text: str) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except (Base64Error, ValueError) as error:
        raise ValueError(f"{text[:50]!r} is no base64") from error
    if b64encode(data).decode() != text:
        raise ValueError(f"{text[:50]!r} is no canonical base64")
    return data


def key_id(origin: str, public: bytes) -> bytes:
    """The first 4 bytes of SHA-256 over name, newline, algorithm and public key, as signed-note has it."""
    return sha256(origin.encode() + b"\n" + _ED25519 + public).digest()[:4]


def verifier_key(origin: str, public: bytes) -> str:
    """The verifier key as text."""
    return f"{origin}+{key_id(origin, public).hex()}+{b64encode(_ED25519 + public).decode()}"


def parse_verifier_key(vkey: str) -> tuple[str, bytes]:
    """(origin, public key) of a verifier key. Raises InvalidArgumentError."""
    parts = _split(vkey.strip())
    try:
        origin, told_id, encoded = parts
        data = _base64(encoded)
        if len(data) != 33 or data[:1] != _ED25519 or key_id(origin, data[1:]).hex() != told_id:
            raise ValueError("its parts do not fit together")
    except ValueError as error:
        raise InvalidArgumentError(
            f"{vkey[:80]!r} is no verifier key ({error}); it is the one line that `tr.audit.vkey` shows"
        ) from error
    return origin, data[1:]


def _split(vkey: str) -> list[str]:
    # Base64 may hold a plus; the key id is 8 hex digits between two of them.
    found = re.fullmatch(r"([^+]+)\+([0-9a-f]{8})\+(.+)", vkey)
    return [vkey] if found is None else list(found.groups())


def is_signed(head: TreeHead, vkey: str) -> bool:
    """Whether the key of `vkey` signed the note. Needs the package `cryptography`."""
    origin, _ = parse_verifier_key(vkey)
    return head.origin == origin and any(
        name == origin and is_signature(signature, head.text, vkey) for name, signature in head.signatures
    )


def is_signature(signature: bytes, text: str, vkey: str) -> bool:
    """Whether `signature` (4 bytes of key id, 64 of Ed25519) is of `text` and by the key of `vkey`."""
    origin, public = parse_verifier_key(vkey)
    asymmetric: Any = require("cryptography.hazmat.primitives.asymmetric.ed25519", feature="verifying", extra="audit")
    exceptions: Any = require("cryptography.exceptions", feature="verifying", extra="audit")
    if signature[:4] != key_id(origin, public):
        return False
    try:
        asymmetric.Ed25519PublicKey.from_public_bytes(public).verify(signature[4:], text.encode())
    except exceptions.InvalidSignature:
        return False
    return True


class NoteSigner:
    """Signs tree heads of one origin with one Ed25519 key; a `store._entries.Signer`."""

    def __init__(self, origin: str, private: bytes) -> None:
        """`private` is the 32-byte seed. Raises InvalidArgumentError for an origin that cannot be a key's name."""
        if not origin or any(c.isspace() or c == "+" for c in origin):
            raise InvalidArgumentError(f"an origin is a name without spaces or '+', as 'acme/notebook'; got {origin!r}")
        asymmetric: Any = require("cryptography.hazmat.primitives.asymmetric.ed25519", feature="signing", extra="audit")
        self.origin = origin
        self._key = asymmetric.Ed25519PrivateKey.from_private_bytes(private)
        self._public: bytes = self._key.public_key().public_bytes_raw()
        self._key_id = key_id(origin, self._public)

    @property
    def vkey(self) -> str:
        """The verifier key, for whoever checks."""
        return verifier_key(self.origin, self._public)

    def sign(self, size: int, root: bytes) -> str:
        """The signed note over a log of `size` entries."""
        text = text_of(self.origin, size, root)
        return f"{text}\n— {self.origin} {self.sign_text(text)}\n"

    def sign_text(self, text: str) -> str:
        """Base64 of the key id and the signature of a text, which must not be one that a tree head could have."""
        signature: bytes = self._key.sign(text.encode())
        return b64encode(self._key_id + signature).decode()
