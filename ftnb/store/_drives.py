"""Which folders lie on drives that several machines share, where SQLite's shared memory and locks do not work.

By the kind of the file system, as Linux tells it in /proc/self/mounts, or by a network path of Windows.
FTNB_SHARED_DRIVE=1 or 0 says it for every folder, where this is wrong or cannot be known (macOS).
"""

from __future__ import annotations

import os
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")
_SHARED = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "orangefs",
    "smb3", "smbfs", "vboxsf", "vmhgfs", "virtiofs",
})  # fmt: skip
_LOCAL_FUSE = frozenset({"fuse.fuseiso", "fuse.mergerfs", "fuse.squashfuse", "fuse.portal", "fuse.lxcfs", "fuse.gvfsd"})


def is_shared(path: str | Path) -> bool:
    """Whether a file at `path` may be on a drive of another machine."""
    told = os.environ.get("FTNB_SHARED_DRIVE")
    if told in ("0", "1"):
        return told == "1"
    kind = filesystem_of(path)
    if kind is None:
        return str(path).startswith(("\\\\", "//"))
    # FUSE: sshfs, rclone, gcsfuse, a mounted Google Drive. None of them keeps locks between machines.
    return kind in _SHARED or ((kind == "fuse" or kind.startswith("fuse.")) and kind not in _LOCAL_FUSE)


def filesystem_of(path: str | Path) -> str | None:
    """The kind of file system that `path` is on, as the system calls it; None where it does not tell."""
    try:
        lines = MOUNTS.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    place = Path(os.path.realpath(path))
    best, found = -1, None
    for line in lines:
        _, _, rest = line.partition(" ")
        at, _, rest = rest.partition(" ")
        mounted = Path(_unescaped(at))
        # A later mount covers an earlier one at the same place.
        if place.is_relative_to(mounted) and len(mounted.parts) >= best:
            best, found = len(mounted.parts), rest.partition(" ")[0]
    return found


def _unescaped(text: str) -> str:
    """Blanks and the like are octal in that file."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
