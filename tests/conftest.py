"""What all tests share: no deadlines by the clock, what the garbage collector leaves alone, and the browser."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# jupyter_core warns until this choice is made, and warnings are errors here.
os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")

# Kernels and browsers that tests start keep files at home.
if not os.access(Path.home(), os.W_OK):
    home = Path(__file__).parents[1] / "build" / "home"
    home.mkdir(parents=True, exist_ok=True)
    os.environ["HOME"] = str(home)

# A shared CI core is slow at random; a deadline would test the machine.
settings.register_profile("ftnb", deadline=None, print_blob=True)
settings.load_profile("ftnb")

# While tests are collected, every framework that is recorded is imported, and nothing becomes garbage.
gc.disable()

NEED_SPARK = {f"tests/analytics/test_{name}.py" for name in ("flows", "funnel_reference", "funnel_semantics")}
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
NO_CHROMIUM = (
    "no Chromium found, so nothing was tested in a browser. Install it (Debian: apt-get install chromium) "
    "or name one in FTNB_CHROMIUM"
)


def find_chromium() -> str | None:
    """Path of the browser to drive, or None: FTNB_CHROMIUM, else the first known name on PATH."""
    named = os.environ.get("FTNB_CHROMIUM")
    if named:
        return named
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


def pytest_collection_finish() -> None:
    gc.enable()
    let_lasting_things_be()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What needs Spark runs in one process: each that starts it takes seconds and half a gigabyte.

    So does what needs JupyterLab, which is loaded once, and what needs Notebook 7.
    """
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            if file.startswith("tests/lab/"):
                return "notebook 7" if "[notebook-" in nodeid else "lab"
            return "spark" if file in NEED_SPARK else file

    return Scheduling(config, log)


def let_lasting_things_be() -> None:
    """Collect what is garbage now, and keep later collections from what is not: with all those frameworks imported,
    one that looks at everything takes more than a second."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("browser") is None or find_chromium() is not None:
        return
    # In CI a missing browser must not look like a passed test.
    if os.environ.get("CI"):
        pytest.fail(NO_CHROMIUM, pytrace=False)
    pytest.skip(NO_CHROMIUM)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """pytest-playwright starts the machine's own Chromium; nothing is downloaded."""
    return {**browser_type_launch_args, "executable_path": find_chromium(), "args": list(CHROMIUM_FLAGS)}
