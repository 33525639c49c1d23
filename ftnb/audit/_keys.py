"""The key that signs tree heads: made once, kept in the user's data folder, readable by nobody else.

Whoever holds the key and the store can write both anew. What makes a head worth something is that it left this machine:
printed in a notebook that somebody else has, committed, sent, time-stamped.
"""

from __future__ import annotations

import getpass
import os
import re
from dataclasses import dataclass
from pathlib import Path

from ..core._optional import require
from ..core.errors import InvalidArgumentError, StoreError
from ..store.leaf import Profile
from ._note import NoteSigner

_SEED = re.compile(r"[0-9a-f]{64}\s*\Z")


@dataclass(frozen=True, slots=True)
class Audit:
    """How a store is audited: who signs its head.

    `origin` names the log in every head, as `acme/notebook-7`; None: the user's name. `key` is `"auto"` (made on first
    use, in the user's data folder, one for each origin), a path to a file with the 32-byte seed in hex, or the seed
    itself. With `profile="audit"` every field has a commitment of its own, so that single fields can be redacted later,
    or withheld from an export, with every proof intact; with `"hash"` a body is closed as a whole. Raises
    InvalidArgumentError for what is none of these.
    """

    origin: str | None = None
    key: str | os.PathLike[str] | bytes = "auto"
    profile: Profile = "hash"

    def __post_init__(self) -> None:
        if self.profile not in ("hash", "audit"):
            raise InvalidArgumentError(f"no audit profile {self.profile!r}; known: hash, audit")

    def signer(self) -> NoteSigner:
        """Who signs. Raises InvalidArgumentError, StoreError when the key cannot be kept, MissingPackageError."""
        origin = self.origin or f"ftnb/{_user()}"
        if isinstance(self.key, bytes):
            if len(self.key) != 32:
                raise InvalidArgumentError(f"an Ed25519 seed has 32 bytes, got {len(self.key)}")
            return NoteSigner(origin, self.key)
        if self.key == "auto":
            return NoteSigner(origin, _kept(_folder() / f"{re.sub(r'[^A-Za-z0-9.-]+', '_', origin)}.key"))
        return NoteSigner(origin, _read(Path(self.key)))


def _user() -> str:
    try:
        return re.sub(r"[^A-Za-z0-9.-]+", "_", getpass.getuser()) or "user"
    except (OSError, KeyError):  # a container without users
        return "user"


def _folder() -> Path:
    dirs = require("platformdirs", feature="keeping a signing key", extra="audit")
    return Path(dirs.user_data_dir("ftnb", appauthor=False)) / "keys"


def _kept(path: Path) -> bytes:
    """The seed at `path`, made now if there is none."""
    if path.exists():
        return _read(path)
    seed = os.urandom(32)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise StoreError(f"cannot keep a signing key at {str(path)!r}: {error}; give one with Audit(key=…)") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(seed.hex() + "\n")
    return seed


def _read(path: Path) -> bytes:
    try:
        text = path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read the signing key {str(path)!r}: {error}") from error
    if not _SEED.match(text):
        raise InvalidArgumentError(f"{str(path)!r} holds no signing key: 64 hex digits, the seed of an Ed25519 key")
    return bytes.fromhex(text.strip())
