"""Runs the tests that flowtraicer ships in its source distributions against ftnb: `make seed-suite`.

Fetches the distributions (once, into build/), renames the import, makes the changes listed in changes.toml, and runs
the files that ftnb covers so far. Exit status 0 only if all of them pass.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rename import rename_package

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))
from tests.servers import have_postgres, postgres_server  # noqa: E402

WORK = HERE.parents[1] / "build/seed_suite"
# sha256 of each source distribution: what we compare ourselves with does not change under us.
DISTRIBUTIONS = {
    "0.9.0": "8ef950cd780c402baa7f4f11974f18fa8a9b77433ebd1c888321415ced61b47e",
    "0.11.1": "87ed65170755621ae52281bbe0f500c1fc7db5f8d72a0f3fe6f1269dd144fbd8",
}
# The seed's own settings; without a file here pytest would take ours.
SETTINGS = """\
[pytest]
addopts = -q -p no:cacheprovider -p no:nbval -p no:langsmith_plugin -p no:schemathesis --continue-on-collection-errors
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""
COVERED = (
    "test_adapter.py",
    "test_audit.py",
    "test_retention.py",
    "test_agentic_step.py",
    "test_analytics.py",
    "test_cardless_pause.py",
    "test_checkpoint_resume.py",
    "test_checkpointer_factory.py",
    "test_demo_integration.py",
    "test_emit_from_handler.py",
    "test_extraction.py",
    "test_llm.py",
    "test_model.py",
    "test_model_tokens.py",
    "test_orchestration.py",
    "test_recorder.py",
    "test_registry.py",
    "test_resume_contract.py",
    "test_server.py",
    "test_store.py",
    "test_store_postgres.py",
    "test_store_redis.py",
    "test_streaming.py",
    "test_timeline.py",
    "test_timeline_tokens.py",
    "test_tokens_flow.py",
    "test_trace_state.py",
    "test_turn_tokens.py",
)


@dataclass(frozen=True)
class Change:
    """One deliberate difference: `old` becomes `new`, or (without them) the test `test` is left out."""

    file: str
    reason: str
    test: str = ""
    old: str = ""
    new: str = ""
    versions: tuple[str, ...] = ()


def main() -> int:
    changes = read_changes()
    with ExitStack() as servers:
        if have_postgres():
            os.environ["FT_TEST_PG_DSN"] = servers.enter_context(postgres_server()).dsn
        elif os.environ.get("CI"):
            raise SystemExit("seed suite: no PostgreSQL, so the tests of its store cannot be run")
        failed = [version for version in DISTRIBUTIONS if run_version(version, changes)]
    print_changes(changes)
    print_uncovered()
    if failed:
        print(f"\nfailed: flowtraicer {', '.join(failed)}")
    return 1 if failed else 0


def run_version(version: str, changes: list[Change]) -> int:
    tests = prepare(version, changes)
    print(f"\n== flowtraicer {version}: {', '.join(tests)}", flush=True)
    return run(version, tests, changes) or run_samples(version)


def read_changes() -> list[Change]:
    listed = tomllib.loads((HERE / "changes.toml").read_text()).get("change", [])
    return [Change(**{**entry, "versions": tuple(entry.get("versions", DISTRIBUTIONS))}) for entry in listed]


def fetch(version: str) -> Path:
    """The source distribution of `version`, from build/ or the package index; exits with a message when it cannot."""
    archive = WORK / f"flowtraicer-{version}.tar.gz"
    if not archive.is_file():
        WORK.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
        command += ["--no-binary", "flowtraicer", "--dest", str(WORK), f"flowtraicer=={version}"]
        if subprocess.run(command, check=False).returncode != 0 or not archive.is_file():
            raise SystemExit(
                f"\nseed suite: {archive.name} is missing and could not be fetched, so nothing was tested. "
                f"It needs the package index once; or put the file into {WORK.relative_to(HERE.parents[1])}/ yourself."
            )
    got = hashlib.sha256(archive.read_bytes()).hexdigest()
    if got != DISTRIBUTIONS[version]:
        raise SystemExit(f"seed suite: {archive} has sha256 {got}, not {DISTRIBUTIONS[version]}; delete it and retry.")
    return archive


def unpack(version: str) -> Path:
    """The folder with the distribution's own tests, unpacked afresh."""
    with tarfile.open(fetch(version)) as archive:
        archive.extractall(WORK, filter="data")
    return WORK / f"flowtraicer-{version}/tests"


def prepare(version: str, changes: list[Change]) -> list[str]:
    """Write the renamed and changed tests of `version` into a folder of their own; returns the names of the files."""
    source, target = unpack(version), WORK / f"run-{version}"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    (target / "pytest.ini").write_text(SETTINGS)
    names = [name for name in COVERED if (source / name).is_file()]
    for name in names:
        mine = [c for c in changes if c.file == name and version in c.versions]
        (target / name).write_text(apply(mine, rename_package((source / name).read_text(), "ft", "ftnb")))
    return names


def apply(changes: list[Change], text: str) -> str:
    for change in changes:
        # A change that fits nowhere is stale, one that fits twice is not the line that was meant.
        times = text.count(change.old) if change.old else text.count(f"def {change.test}(")
        if times != 1:
            raise SystemExit(f"changes.toml: {change.file} holds {change.old or change.test!r} {times} times, not once")
        if change.old:
            text = text.replace(change.old, change.new)
    return text


def run(version: str, tests: list[str], changes: list[Change]) -> int:
    folder = WORK / f"run-{version}"
    left_out = [f"{c.file}::{c.test}" for c in changes if version in c.versions and not c.old]
    command = [sys.executable, "-m", "pytest", "-c", str(folder / "pytest.ini"), "--rootdir", str(folder)]
    command += [f"--deselect={test}" for test in left_out]
    return subprocess.run([*command, *tests], cwd=folder, check=False).returncode


def run_samples(version: str) -> int:
    """The samples of its README, as they stand."""
    readme = WORK / f"flowtraicer-{version}/README.md"
    print(f"\n== flowtraicer {version}: the samples of its README", flush=True)
    folder, root = WORK / f"run-{version}", HERE.parents[1]
    paths = os.pathsep.join([str(root), str(HERE)])
    command = [sys.executable, "-m", "pytest", "-c", str(folder / "pytest.ini"), "--rootdir", str(folder), "-rs"]
    given = {**os.environ, "FTNB_SEED_README": str(readme), "PYTHONPATH": paths}
    return subprocess.run([*command, str(HERE / "samples.py")], cwd=folder, check=False, env=given).returncode


def print_changes(changes: list[Change]) -> None:
    print(f"\n== changed on purpose: {len(changes) or 'nothing'}")
    for change in changes:
        what = f"{change.old.strip()!r} -> {change.new.strip()!r}" if change.old else "left out"
        print(f"{change.file} {change.test} ({', '.join(change.versions)}): {what}\n    {change.reason}")


def print_uncovered() -> None:
    newest = WORK / f"flowtraicer-{list(DISTRIBUTIONS)[-1]}/tests"
    uncovered = sorted(path.name for path in newest.glob("test_*.py") if path.name not in COVERED)
    print(f"\n== not covered yet: {len(uncovered)} of {len(uncovered) + len(COVERED)} files\n{', '.join(uncovered)}")


if __name__ == "__main__":
    sys.exit(main())
