"""Files that are cut off, wrong, huge or hostile end in one clear error, or in what could be read."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ftnb
from ftnb.core.errors import FtnbError, InvalidArgumentError, NotOurFileError, StoreError
from ftnb.interop import _json_items


def _span(n: int, **more: Any) -> dict[str, Any]:
    return {
        "traceId": "0" * 31 + "1",
        "spanId": f"{n:016x}",
        "parentSpanId": "" if n == 1 else "0" * 15 + "1",
        "name": f"s{n}",
        "startTimeUnixNano": str(10**18 + n),
        "endTimeUnixNano": str(10**18 + 100),
        "attributes": [{"key": "openinference.span.kind", "value": {"stringValue": "CHAIN"}}],
        **more,
    }


def _otlp(*spans: Any) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}, indent=1).encode()


_SAMPLES: dict[str, bytes] = {
    "otlp.json": _otlp(_span(1), _span(2), _span(3)),
    "messages.jsonl": b'{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]}\n' * 3,
    "langsmith.json": json.dumps(
        [
            {
                "id": "a1",
                "run_type": "chain",
                "name": "x",
                "start_time": "2026-01-01T00:00:00",
                "trace_id": "t",
                "inputs": {},
            },
            {
                "id": "b1",
                "run_type": "llm",
                "name": "y",
                "start_time": "2026-01-01T00:00:01",
                "trace_id": "t",
                "parent_run_id": "a1",
                "outputs": {"generations": [[{"text": "t"}]]},
            },
        ]
    ).encode(),
    "langfuse.json": json.dumps(
        {
            "trace": {"id": "t1", "timestamp": "2026-01-01T00:00:00Z", "name": "x"},
            "observations": [
                {
                    "id": "o1",
                    "traceId": "t1",
                    "type": "GENERATION",
                    "startTime": "2026-01-01T00:00:00Z",
                    "usageDetails": {"input": 3, "output": 4, "total": 7},
                    "output": "hi",
                }
            ],
        }
    ).encode(),
    "mlflow.json": json.dumps(
        {
            "info": {"trace_id": "tr-1"},
            "data": {
                "spans": [
                    {
                        "span_id": "a",
                        "trace_id": "x",
                        "name": "n",
                        "start_time_unix_nano": 10**18,
                        "end_time_unix_nano": 10**18 + 5,
                        "status": {"code": "STATUS_CODE_OK"},
                        "attributes": {"mlflow.spanType": '"LLM"'},
                    }
                ]
            },
        }
    ).encode(),
    "events.csv": b"case,activity,time\n" + b"a,x,2026-01-01\n" * 4,
}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small file of each format, databases and Parquet too."""
    folder = tmp_path_factory.mktemp("samples")
    pl.read_csv(_SAMPLES["events.csv"]).write_parquet(folder / "events.parquet")
    return {**_SAMPLES, "events.parquet": (folder / "events.parquet").read_bytes()}


@pytest.mark.parametrize("name", [*_SAMPLES, "events.parquet"])
def test_the_samples_are_good(samples: dict[str, bytes], tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(samples[name])
    assert ftnb.read(tmp_path / name).steps().height >= 1


@pytest.mark.parametrize("strict", [True, False])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_never_crashes(samples: dict[str, bytes], tmp_path: Path, data: st.DataObject, strict: bool) -> None:
    name = data.draw(st.sampled_from(sorted(samples)))
    content = bytearray(samples[name])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        match data.draw(st.sampled_from(["cut", "flip", "insert", "drop"])):
            case "cut":
                del content[at:]
            case "flip" if content:
                content[at] = data.draw(st.integers(0, 255))
            case "insert":
                pieces = [
                    b"null",
                    b"[",
                    b"}",
                    b'"',
                    b"\\",
                    b"1e999",
                    b"NaN",
                    b"-1",
                    b"\x00",
                    b'{"a":',
                    b"\xff",
                    b"true",
                ]
                content[at:at] = data.draw(st.sampled_from(pieces))
            case _:
                del content[at : at + 5]
    path = tmp_path / name
    path.write_bytes(bytes(content))
    try:
        traces = ftnb.read(path, strict=strict)
    except FtnbError as error:
        if path.name not in str(error):
            raise AssertionError(f"the message does not name the file: {error}") from error
    else:
        traces.steps(), traces.events(payload=True), traces.engagements(), traces.errors


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "traceId",
                    "spanId",
                    "name",
                    "attributes",
                    "startTimeUnixNano",
                    "key",
                    "value",
                    "stringValue",
                    "events",
                    "status",
                    "run_type",
                    "inputs",
                    "outputs",
                    "extra",
                    "metadata",
                    "messages",
                    "role",
                    "content",
                    "tool_calls",
                    "function",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "format", ["otlp", "langsmith", "langfuse", "mlflow", "messages", "phoenix", "events", "ndjson"]
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(_JSON, min_size=1, max_size=3))
def test_any_json_is_an_error_or_is_read(tmp_path: Path, format: Any, values: list[Any]) -> None:
    path = tmp_path / "any.jsonl"
    base = {
        "otlp": _span(1),
        "langsmith": json.loads(_SAMPLES["langsmith.json"])[0],
        "phoenix": {"context.span_id": "1", "context.trace_id": "2", "start_time": "2026-01-01"},
        "messages": {"messages": [{"role": "user", "content": 1}]},
    }.get(format, {})
    lines = [json.dumps({**base, **one} if isinstance(one, dict) else one) for one in values]
    path.write_text("\n".join(lines) + "\n" + "\n".join(lines))
    try:
        ftnb.read(path, format=format, strict=False).steps()
    except FtnbError:
        pass


def test_an_error_names_file_line_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_bytes(_otlp(_span(1), {**_span(2), "startTimeUnixNano": "soon"}, _span(3)))
    with pytest.raises(NotOurFileError, match=r"trace\.json, line \d+: 'soon' is no time in nanoseconds"):
        ftnb.read(path)
    traces = ftnb.read(path, strict=False)
    assert traces.steps()["name"].to_list() == ["s3"]
    [error] = traces.errors.to_dicts()
    assert error["line"] > 10
    assert "soon" in error["reason"]


def test_a_file_that_is_cut_off_gives_what_comes_before(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    whole = _otlp(_span(1), _span(2), _span(3))
    path.write_bytes(whole[: whole.rindex(b"s3")])
    with pytest.raises(NotOurFileError, match=r"line .*cut off"):
        ftnb.read(path)
    traces = ftnb.read(path, strict=False)
    assert traces.steps()["name"].to_list() == ["s2"]
    assert "cut off" in traces.errors["reason"][0]


@pytest.mark.parametrize(
    "content",
    [b"", b"   ", b"\x00" * 100, b"hello", b"{}", b"[]", b'{"a": 1}', b"null", b"PAR1", b"SQLite format 3\x00"],
)
def test_what_is_no_trace_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.bin"
    path.write_bytes(content)
    with pytest.raises(NotOurFileError, match=r"odd\.bin"):
        ftnb.read(path)


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such file"):
        ftnb.read(tmp_path / "nothing.json")
    with pytest.raises(InvalidArgumentError, match="otlp"):
        ftnb.read(tmp_path, format="otel")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="dataframe"):
        ftnb.read(17)


def test_bombs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.json"
    begun = time.monotonic()
    path.write_bytes(gzip.compress(b'[{"role":"user","content":"' + b"a" * (100 << 20) + b'"}]', 9))
    with pytest.raises(NotOurFileError, match=r"times its size|larger than 64 MB"):
        ftnb.read(path)
    path.write_bytes(b'{"resourceSpans":' + b"[" * 100_000)
    with pytest.raises(NotOurFileError, match="levels of nesting"):
        ftnb.read(path)
    deep = {"key": "metadata", "value": {"stringValue": "[" * 100_000}}
    path.write_bytes(_otlp(_span(1, attributes=[deep])))
    assert ftnb.read(path).steps().height == 1
    assert time.monotonic() - begun < 30


def test_spans_that_are_inside_each_other(tmp_path: Path) -> None:
    path = tmp_path / "circle.json"
    path.write_bytes(_otlp(*(_span(n, parentSpanId=f"{n % 5 + 1:016x}") for n in range(1, 6))))
    traces = ftnb.read(path)
    assert "(parent)" in traces.report["left out"]
    assert traces.steps().height >= 1


def test_a_long_chain_of_spans(tmp_path: Path) -> None:
    path = tmp_path / "chain.json"
    path.write_bytes(_otlp(*(_span(n, parentSpanId=f"{n - 1:016x}" if n > 1 else "") for n in range(1, 3_000))))
    assert ftnb.read(path).steps().height == 2_998


@settings(max_examples=100, deadline=None)
@given(value=_JSON, size=st.integers(1, 9), indent=st.sampled_from([None, 1]))
def test_objects_are_cut_out_as_they_are(value: Any, size: int, indent: Any) -> None:
    """However the file is cut into pieces, texts with quotes, brackets and backslashes in them included."""
    document = {"a": [{"x": value}, {"x": '\\"]}\\\\'}], 'b\\"': {"a": [1]}}
    data = json.dumps(document, indent=indent).encode()
    before, _json_items._PIECE = _json_items._PIECE, size
    try:
        import io

        found = list(_json_items.items(io.BytesIO(data), "x", lambda path: path == ("a", "*"), 3))
    finally:
        _json_items._PIECE = before
    assert [json.loads(one.data) for one in found] == document["a"]
