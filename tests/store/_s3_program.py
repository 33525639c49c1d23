"""Exports on a server that speaks S3, through s3fs: `python _s3_program.py SITE FOLDER`.

It runs where moto and s3fs are; what else it needs comes from SITE, the packages of whoever runs the tests.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

sys.path.append(sys.argv[1])

import s3fs
from moto.server import ThreadedMotoServer

import ftnb
from ftnb.core.errors import StoreError
from ftnb.store.parquet import ParquetStore
from ftnb.testing._case import record_run


def refused(url: str, traces: ftnb.Traces | None = None) -> str:
    """What is said of a URL that is not opened, or not written to."""
    try:
        if traces is None:
            ftnb.open(url)
        else:
            traces.to_parquet(url)
    except StoreError as error:
        return str(error)
    raise AssertionError(f"{url} was taken")


def main(folder: Path) -> None:
    """Write, read, verify, copy, write over; and what cannot be."""
    logging.disable(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "any",
                   "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}  # fmt: skip
    bucket = s3fs.S3FileSystem()
    bucket.mkdir("bucket")
    store = ParquetStore(folder / "traces")
    for k in range(3):
        record_run(store, k=k)
    traces = ftnb.open(store)
    for url in ("s3://bucket/deep/share", "s3://bucket/one.parquet"):
        for _ in range(2):
            assert str(traces.to_parquet(url)) == url
        there = ftnb.open(url)
        assert there.steps().equals(traces.steps())
        assert there.events(payload=True).equals(traces.events(payload=True))
        assert there.last().model == traces.last().model
        assert ftnb.verify(url)
    store.publish()
    bucket.put(str(store.folder), "bucket/live", recursive=True)
    live = ftnb.open("s3://bucket/live")
    assert live.steps().equals(traces.steps())
    assert ftnb.copy(live, folder / "copied.db", progress=False).engagements == 3
    record_run(store, k=3)
    ftnb.open(store).to_parquet("s3://bucket/deep/share")
    assert ftnb.open("s3://bucket/deep/share").engagements().height == 4
    bucket.pipe("bucket/theirs/thesis.txt", b"chapter 1")
    assert "no export of ftnb" in refused("s3://bucket/theirs", traces)
    assert bucket.cat("bucket/theirs/thesis.txt") == b"chapter 1"
    assert "no such file" in refused("s3://bucket/none")
    for url in ("s3://never-made/share", "s3://never-made/one.parquet"):
        assert "never-made" in refused(url, traces)
    store.close()
    server.stop()
    sys.stdout.write("all of it\n")


if __name__ == "__main__":
    main(Path(sys.argv[2]))
