"""One JupyterLab for all notebooks, which Notebook 7 is served from, too; every notebook has a kernel of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.lab.jupyter import REPOSITORY, Notebook, lab_server

Open = Callable[..., AbstractContextManager[Notebook]]


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebooks are."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="session")
def lab_address(lab_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server's address."""
    with lab_server(lab_folder, tmp_path_factory.mktemp("home")) as address:
        yield address


@pytest.fixture(scope="session")
def open_notebook(browser: Browser, lab_folder: Path, lab_address: str) -> Open:
    """`with open_notebook(name, app="lab")`: a notebook, open in a page of its own; one of ours is copied before."""

    @contextmanager
    def opened(name: str, *, app: str = "lab") -> Iterator[Notebook]:
        ours = REPOSITORY / "notebooks" / name
        if ours.is_file():
            # A folder of its own: a notebook writes its traces beside it.
            folder = lab_folder / f"{app}_{Path(name).stem}"
            folder.mkdir(exist_ok=True)
            shutil.copy(ours, folder)
            name = f"{folder.name}/{name}"
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        notebook = Notebook(page, lab_address, name, app=app)
        yield notebook
        notebook.stop()
        page.close()

    return opened
