"""Payloads shared with the TypeScript tests: `python -m tests.widget.golden` writes them anew."""

from __future__ import annotations

import json
from pathlib import Path

from ftnb.widget.payload import engagement_payload
from tests.widget import traces

FOLDER = Path(__file__).resolve().parent.parent / "golden"
NAMES = ("house", "failed", "paused", "running", "nested", "hostile", "empty", "long")


def render(name: str) -> str:
    """The payload of one trace, as the file holds it."""
    return json.dumps(engagement_payload(traces.ALL[name]()), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for each in NAMES:
        (FOLDER / f"{each}.json").write_text(render(each), encoding="utf-8")
