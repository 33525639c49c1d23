"""Whether a Parquet file unpacks to what a trace of its size may: asked of a process that may not take much memory.

What a page unpacks to is written in the page, so a few bytes may claim any size; nothing in the footer can be
trusted to say so. The process reads everything once, in small parts, and counts. It also looks at all that the footer
says of columns: where that does not fit together, Arrow ends the process that asks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ..core.errors import VerificationError
from ._report import Finding, Report

BASE_BYTES = 2 << 30
PER_BYTE = 200
"""Times its size that a file may unpack to, beyond `BASE_BYTES`."""
_ADDRESS_BYTES = 4 << 30
_SECONDS = 600

_CHECK = """
import json, sys
paths, budget, address = json.load(sys.stdin)
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (address, address))
except (ImportError, ValueError, OSError):
    pass
import pyarrow as pa, pyarrow.parquet as pq
pa.set_cpu_count(1); pa.set_io_thread_count(1)
for path in paths:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        for number in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(number)
            for place in range(group.num_columns):
                group.column(place).statistics
        for batch in file.iter_batches(256, use_threads=False):
            budget -= batch.nbytes
            if budget < 0:
                print(f"{path}: it unpacks to more than it may"); sys.exit(3)
    except MemoryError:
        print(f"{path}: it unpacks to more than it may"); sys.exit(3)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        print(f"{path}: {text[:300]}"); sys.exit(3)
"""


def ensure_bounded(path: Path) -> None:
    """Raise VerificationError where a file of an export cannot be read, or unpacks to more than it may."""
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files)
    budget, address = BASE_BYTES + PER_BYTE * size, _ADDRESS_BYTES + PER_BYTE * size
    given = json.dumps([[str(file) for file in files], budget, address])
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _CHECK], input=given, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise _refused(path, f"a reader that did not end: {error!r:.200}") from error
    if ended.returncode != 0:
        raise _refused(path, ended.stdout.strip() or f"a reader that died with {ended.returncode}")


def _refused(path: Path, got: str) -> VerificationError:
    report = Report(str(path), 0, "")
    report.findings.append(Finding("unreadable", str(path), "Parquet files that unpack to a trace", got))
    return VerificationError(
        f"{path} does not verify: expected Parquet files that unpack to a trace, got {got}", report
    )
