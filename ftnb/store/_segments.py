"""The folder of a Parquet store: segments, which are written once, and a manifest that lists them.

    manifest.json                        what there is, replaced as a whole, with a generation that grows
    tail.db                              what is not published yet, and the catalogue (`_tail`)
    records/ blobs/ streams/ entries/    segments: Parquet files in the format of an export's evidence
    retired/                             what a merge replaced, kept for a while for whoever reads by an older manifest

A file's name begins with the generation that it was made from. The catalogue takes files in only where its generation
is still that one; so an unlisted file of an earlier generation is what a crash left, and can always go.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Mapping, Sequence
from functools import reduce
from operator import and_
from pathlib import Path
from threading import Lock
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq

from ..core._version import __version__
from ..core.errors import NotOurFileError, SchemaVersionError, StoreError
from ..core.ids import new_id
from ._parquet_file import BLOBS, ENTRIES, RECORDS, SCHEMAS, STREAMS, EvidenceFile, readable
from .records import SCHEMA_VERSION

pc: Any = pyarrow.compute  # its stubs do not know expressions of datasets

MANIFEST, TAIL, RETIRED = "manifest.json", "tail.db", "retired"
TABLES = (RECORDS, BLOBS, STREAMS, ENTRIES)
LAYOUT = 1
"""Of the folder; its files have the schema version of the log."""
GRACE_SECONDS = 600.0
"""For how long what a merge replaced is kept."""
SORTED_BY: dict[str, list[tuple[str, str]]] = {
    RECORDS: [("engagement_id", "ascending"), ("seq", "ascending")],
    BLOBS: [("engagement_id", "ascending"), ("blob_id", "ascending")],
    STREAMS: [("stream_id", "ascending")],
    ENTRIES: [("seq", "ascending")],
}
_ROW_GROUP = {RECORDS: 32_768, BLOBS: 8_192}
_PLAIN = frozenset({"body", "salt", "commitment", "data", "frontier"})
"""Columns in which hardly a value comes twice."""
_MAX_OPEN = 512
_HERE = pyarrow.fs.LocalFileSystem()
_FORMAT = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
)


class SegmentGone(NotOurFileError):
    """A segment is not there any more: it was replaced after the catalogue was read, or it was taken away."""


class Folder:
    """The files of one Parquet store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fragments: dict[tuple[str, str], Any] = {}
        self._lock = Lock()

    # --- writing ---

    def write(self, table: str, data: pa.Table, generation: int) -> str:
        """A new segment file, on disk when this returns; its name. Raises StoreError."""
        name = f"{generation:08d}-{new_id()}"
        place = self.path / table / f"{name}.parquet"
        temporary = place.with_name(f".{name}.tmp")
        data = data.sort_by(cast(Any, SORTED_BY[table])).replace_schema_metadata(_marks(table))
        try:
            place.parent.mkdir(exist_ok=True)
            pq.write_table(
                data,
                temporary,
                compression="zstd",
                compression_level=3,
                row_group_size=_ROW_GROUP.get(table, 65_536),
                use_dictionary=cast(Any, [column for column in data.column_names if column not in _PLAIN]),
                write_page_checksum=True,
            )
            _sync(temporary)
            os.replace(temporary, place)
            _sync(place.parent)
        except (OSError, pa.ArrowException) as error:
            temporary.unlink(missing_ok=True)
            raise StoreError(f"cannot publish into the store {str(self.path)!r}: {error}") from error
        return name

    def discard(self, files: Collection[tuple[str, str]]) -> None:
        """Remove files that no catalogue lists."""
        for table, name in files:
            self._place(table, name).unlink(missing_ok=True)
            self._fragments.pop((table, name), None)

    def retire(self, files: Collection[tuple[str, str]]) -> None:
        """Put files that were merged where readers of an older manifest find them for a while."""
        try:
            (self.path / RETIRED).mkdir(exist_ok=True)
            for table, name in files:
                place = self._place(table, name)
                if place.exists():
                    os.utime(place)
                    os.replace(place, self.path / RETIRED / f"{table}-{name}.parquet")
        except OSError:
            return  # they are found unlisted, and go with what crashes leave

    def strays(self, listed: Collection[tuple[str, str]]) -> bool:
        """Whether there are files that the catalogue does not list: what a crash left, or what is being made."""
        return any(
            (table, place.stem) not in listed for table in TABLES for place in (self.path / table).glob("*.parquet")
        )

    def clean(self, generation: int, listed: Collection[tuple[str, str]], *, everything: bool = False) -> None:
        """Remove what crashes left, and what has been retired for long enough (`everything`: all of it)."""
        for table in TABLES:
            for place in (self.path / table).glob("*.parquet"):
                if (table, place.stem) not in listed and _generation_of(place.name) < generation:
                    place.unlink(missing_ok=True)
            for place in (self.path / table).glob(".*.tmp"):
                if _generation_of(place.name[1:]) < generation:
                    place.unlink(missing_ok=True)
        old = time.time() - GRACE_SECONDS
        for place in (self.path / RETIRED).glob("*.parquet"):
            try:
                if everything or place.stat().st_mtime < old:
                    place.unlink()
            except OSError:
                continue  # another process was faster

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Replace the manifest. Raises StoreError."""
        temporary = self.path / f".{MANIFEST}.{new_id()}.tmp"
        said = {"format": "ftnb parquet store", "layout": LAYOUT, "schema": SCHEMA_VERSION, "version": __version__}
        try:
            temporary.write_text(json.dumps({**said, **content}, indent=1), "utf-8")
            _sync(temporary)
            os.replace(temporary, self.path / MANIFEST)
            _sync(self.path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StoreError(f"cannot write the manifest of the store {str(self.path)!r}: {error}") from error

    def size_of(self, table: str, name: str) -> int:
        """Bytes on disk."""
        return self._place(table, name).stat().st_size

    # --- reading ---

    def read(
        self,
        table: str,
        names: Sequence[str],
        columns: Sequence[str],
        *,
        engagement_ids: Sequence[str] | None = None,
        types: Sequence[str] = (),
        after: int = 0,
        until: int | None = None,
    ) -> pa.Table:
        """Columns of these files in no order, only rows that are asked for. Raises SegmentGone, NotOurFileError,
        SchemaVersionError."""
        schema = pa.schema([SCHEMAS[table].field(column) for column in columns])
        if not names:
            return schema.empty_table()
        fragments = [self._fragment(table, name) for name in names]
        dataset = ds.FileSystemDataset(fragments, SCHEMAS[table], _FORMAT)
        wanted = _condition(engagement_ids, types, after, until)
        try:
            with readable(self.path):
                return dataset.to_table(columns=list(columns), filter=wanted)
        except NotOurFileError as error:
            if isinstance(error.__cause__, FileNotFoundError):  # between its being found and its being opened
                raise SegmentGone(f"a segment of the store {str(self.path)!r} is missing: {error.__cause__}") from error
            raise

    def _fragment(self, table: str, name: str) -> Any:
        with self._lock:
            place = self._place(table, name)
            if not place.exists():
                place = self.path / RETIRED / f"{table}-{name}.parquet"
                if not place.exists():
                    self._fragments.pop((table, name), None)
                    raise SegmentGone(
                        f"the segment {table}/{name}.parquet of the store {str(self.path)!r} is missing: what it held "
                        "is lost unless there is a copy of the folder; engagements in other segments can be read"
                    )
            found = self._fragments.get((table, name))
            if found is None or found.path != str(place):
                checked = EvidenceFile(place, table)
                checked.ensure_unpacks()
                checked.close()
                found = self._fragments[table, name] = _FORMAT.make_fragment(str(place), filesystem=_HERE)
                while len(self._fragments) > _MAX_OPEN:
                    self._fragments.pop(next(iter(self._fragments)))
            return found

    def _place(self, table: str, name: str) -> Path:
        return self.path / table / f"{name}.parquet"


def _condition(engagement_ids: Sequence[str] | None, types: Sequence[str], after: int, until: int | None) -> Any:
    owner, kind, seq = (cast(Any, ds.field(name)) for name in ("engagement_id", "type", "seq"))
    wanted: list[Any] = []
    if engagement_ids is not None:
        wanted.append(
            owner == engagement_ids[0]
            if len(engagement_ids) == 1
            else owner.isin(pa.array(engagement_ids, pa.string()))
        )
    if types:
        wanted.append(kind.isin(list(types)))
    if after:
        wanted.append(seq > after)
    if until is not None:
        wanted.append(seq <= until)
    return reduce(and_, wanted) if wanted else None


def read_manifest(text: bytes, place: str) -> dict[str, Any]:
    """What a manifest says. Raises NotOurFileError when it is none or torn, SchemaVersionError for a newer one."""
    try:
        said = json.loads(text)
        layout, schema = int(said["layout"]), int(said["schema"])
        for segment in said["segments"]:
            for table, name in segment["files"].items():
                if table not in TABLES or not _is_name(name):
                    raise ValueError(f"it lists {table}/{name}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotOurFileError(f"{place!r} is no manifest of a Parquet store, or it is torn ({error})") from error
    if layout > LAYOUT or schema > SCHEMA_VERSION:
        raise SchemaVersionError(
            f"{place!r} has layout {layout} and log format {schema}, this ftnb reads up to {LAYOUT} and "
            f"{SCHEMA_VERSION}; upgrade ftnb"
        )
    return cast("dict[str, Any]", said)


def is_store(path: Path) -> bool:
    """Whether the folder is a Parquet store, with or without its tail."""
    return (path / MANIFEST).is_file() or (path / TAIL).is_file()


def ensure_ours(folder: Path, *, read_only: bool) -> None:
    """Raises StoreError, NotOurFileError or SchemaVersionError where a store in `folder` cannot be opened."""
    if not folder.is_dir():
        what = "it is no folder" if folder.exists() else "there is no such folder"
        raise StoreError(f"cannot open the Parquet store {str(folder)!r}: {what}")
    if not is_store(folder):
        found = sorted(entry.name for entry in folder.iterdir())
        if f"{RECORDS}.parquet" in found:
            raise NotOurFileError(
                f"{str(folder)!r} is an export, which does not change; open it with ftnb.open(), record into another "
                "folder"
            )
        if found or read_only:
            shown = ", ".join(found[:5]) or "nothing"
            raise NotOurFileError(f"{str(folder)!r} is no Parquet store (found: {shown}), and was left as it is")
        return
    manifest = folder / MANIFEST
    try:
        said = read_manifest(manifest.read_bytes(), str(manifest))
    except FileNotFoundError:
        return  # a crash right after it was made
    except SchemaVersionError:
        raise
    except NotOurFileError:
        if not (folder / TAIL).is_file():
            raise
        return  # it is written again from the catalogue
    except OSError as error:
        raise StoreError(f"cannot read {str(manifest)!r}: {error.strerror or error}") from error
    if said["segments"] and not (folder / TAIL).is_file():
        raise StoreError(
            f"the store {str(folder)!r} has lost its {TAIL}: what was published can be read with ftnb.open(), and "
            f"ftnb.copy({str(folder)!r}, 'parquet:///another/folder') makes a store of it that can be recorded into"
        )


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.replace("-", "").isalnum()


def _generation_of(name: str) -> int:
    number = name.partition("-")[0]
    return int(number) if number.isdigit() else 1 << 62


def _marks(table: str) -> dict[Any, Any]:
    return {"ftnb.schema": str(SCHEMA_VERSION), "ftnb.version": __version__, "ftnb.table": table}


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk."""
    if os.name == "nt" and path.is_dir():
        return  # there a folder cannot be opened
    number = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)
