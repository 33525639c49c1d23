"""Images and other binary parts of values: kept as the bytes that they are, whichever way they came.

    {"$ftnb": "media", "media": "image/png", "n_bytes": 48213, "as": "bytes", "id": "<blob>"}
    {"$ftnb": "media", "media": "image/png", "n_bytes": 48213, "as": "base64", "prefix": "data:image/png;base64,", …}

So one picture is one blob per engagement, with its own media type, whether a state holds its bytes, a message its
base64, or a data URL. The id is the blob's, a salted hash: a plain one would tell which picture it was, even after it
is erased. Read back, bytes are bytes and base64 is the same text again.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, NamedTuple

from ..core.canonical import Json

BINARY = "application/octet-stream"
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w.+=-]+){0,4};base64,")
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
)
_BASE64_HEADS = ("data:", "iVBORw0KGgo", "/9j/", "R0lGODdh", "R0lGODlh", "SUkqA", "TU0AK", "JVBERi0", "UklGR", "T2dnUw")
"""How texts begin that are a data URL, or the base64 of bytes with one of the signatures."""


class Found(NamedTuple):
    """Binary content and how it was given."""

    data: bytes
    media: str
    about: dict[str, Json]


def media_of(data: bytes) -> str:
    """The media type that `data` shows by how it begins."""
    for signature, media in _SIGNATURES:
        if data.startswith(signature):
            return media
    if data[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(data[8:12], BINARY)
    return "image/avif" if data[4:12] == b"ftypavif" else BINARY


def of_bytes(mark: dict[str, Json]) -> Found | None:
    """The content of a `bytes` marker; None when it is damaged."""
    try:
        data = base64.b64decode(mark["base64"])
    except (KeyError, ValueError, TypeError):
        return None
    return Found(data, media_of(data), {"as": "bytes"})


def of_text(text: str) -> Found | None:
    """The content of a data URL, or of the base64 of an image; None for any other text."""
    if not text.startswith(_BASE64_HEADS):
        return None
    url = _DATA_URL.match(text, 0, 300)
    prefix = url[0] if url else ""
    if prefix == "" and text.startswith("data:"):
        return None
    try:
        data = base64.b64decode(text[len(prefix) :], validate=True)
    except (binascii.Error, ValueError):
        return None
    media = media_of(data)
    if url is None and media == BINARY:
        return None
    if prefix + base64.b64encode(data).decode() != text:
        return None  # another spelling of base64: it would not come back as it was
    return Found(data, media if url is None else url[1].lower(), {"as": "base64", "prefix": prefix})


def restored(mark: dict[str, Json], data: bytes) -> Any:
    """The value that a `media` marker stands for."""
    if mark.get("as") == "base64":
        return str(mark.get("prefix", "")) + base64.b64encode(data).decode()
    return data
