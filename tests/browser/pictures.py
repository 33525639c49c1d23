"""Stored pictures, and how near to one a screenshot is."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image, ImageChops

FOLDER = Path(__file__).resolve().parent / "pictures"
RENEW = os.environ.get("FTNB_PICTURES") == "renew"
SCALE = 2
"""Pictures are kept at half their size: edges of letters, which differ from browser to browser, are evened out."""
DISTANCE = 40
"""Of 255, in any channel: a pixel that differs more is another one."""
TOLERANCE = 0.012
"""Share of the pixels that may be others."""


def shrunk(png: bytes) -> Image.Image:
    """A screenshot as it is kept."""
    whole = Image.open(io.BytesIO(png)).convert("RGB")
    return whole.resize((whole.width // SCALE, whole.height // SCALE), Image.Resampling.BOX)


def keep(picture: Image.Image, path: Path) -> None:
    """Write a picture in few bytes: 64 colours are more than a view has."""
    path.parent.mkdir(exist_ok=True)
    picture.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


def difference(one: Image.Image, other: Image.Image) -> float:
    """The share of pixels that are others; what one picture is larger by is all other."""
    width, height = min(one.width, other.width), min(one.height, other.height)
    box = (0, 0, width, height)
    channels = ImageChops.difference(one.convert("RGB").crop(box), other.convert("RGB").crop(box)).split()
    most = ImageChops.lighter(ImageChops.lighter(channels[0], channels[1]), channels[2])
    other_pixels = sum(most.histogram()[DISTANCE + 1 :])
    area = max(one.width, other.width) * max(one.height, other.height)
    return (other_pixels + area - width * height) / area
