"""`ftnb.__all__` is what the package offers: every name resolves, and stays what it was."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ftnb

# Imports every module of the package, and reports each public name that is no longer what it was: a submodule with the
# name of an exported function replaces the function once it is imported. The second round is for names that were
# looked up for the first time only after that.
TRAP = """
import importlib, pkgutil, ftnb
before = {name: getattr(ftnb, name) for name in ftnb.__all__} if FIRST else {}
packages = [ftnb]
for package in packages:
    for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            if info.ispkg:
                packages.append(module)
for package in packages:
    for name in getattr(package, "__all__", ()):
        value = getattr(package, name)
        if type(value).__name__ == "module":
            print(f"{package.__name__}.{name} is a module")
        if package is ftnb and before and before[name] is not value:
            print(f"ftnb.{name} was replaced")
"""


@pytest.mark.parametrize("name", ftnb.__all__)
def test_public_name_resolves(name: str) -> None:
    first = getattr(ftnb, name)
    assert first is not None
    assert getattr(ftnb, name) is first
    assert name in dir(ftnb)


@pytest.mark.parametrize("first", [True, False], ids=["names first", "modules first"])
def test_no_submodule_takes_the_place_of_a_public_name(first: bool) -> None:
    code = f"FIRST = {first}\n{TRAP}"
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""


@pytest.mark.parametrize("use", ["otel.SpanProcessor", "audit.Trail", "analytics.funnel", "frames.data_dictionary"])
def test_a_module_that_is_used_by_its_name_needs_no_import_of_its_own(use: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", f"import ftnb; ftnb.{use}"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_every_lazy_name_is_declared_public() -> None:
    assert set(ftnb._HOME) <= set(ftnb.__all__)


def test_unknown_name_lists_what_exists() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'recrod'.*record"):
        ftnb.recrod  # noqa: B018


def test_unknown_name_cannot_be_imported() -> None:
    with pytest.raises(ImportError):
        from ftnb import recrod  # noqa: F401
