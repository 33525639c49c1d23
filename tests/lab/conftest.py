"""One JupyterLab for all notebooks, which Notebook 7 is served from, too; every notebook has a kernel of its own.

What is loaded is kept: one browser context, so that scripts come from its cache, and one page in which JupyterLab opens
notebook after notebook, as a user's does.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

from tests.lab.jupyter import REPOSITORY, Notebook, lab_server

Open = Callable[..., AbstractContextManager[Notebook]]
SIZE: ViewportSize = {"width": 1280, "height": 1000}


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
def lab_context(browser: Browser) -> Iterator[BrowserContext]:
    """The browser's profile: pages of it share a cache."""
    context = browser.new_context(viewport=SIZE)
    yield context
    context.close()


@pytest.fixture(scope="session")
def lab_page(lab_context: BrowserContext) -> Page:
    """Where JupyterLab is, once a notebook has been opened."""
    return lab_context.new_page()


@pytest.fixture(scope="session")
def open_notebook(
    browser: Browser, lab_context: BrowserContext, lab_page: Page, lab_folder: Path, lab_address: str
) -> Open:
    """`with open_notebook(name, app="lab")`: an open notebook; one of ours is copied before.

    Notebook 7 opens each in a page of its own, as it does for a user. `alone` gives it a browser profile of its own,
    for tests of what is on the console: JupyterLab writes there about kernels of closed notebooks, too.
    """

    @contextmanager
    def opened(name: str, *, app: str = "lab", alone: bool = False) -> Iterator[Notebook]:
        ours = REPOSITORY / "notebooks" / name
        if ours.is_file():
            # A folder of its own: a notebook writes its traces beside it.
            folder = lab_folder / f"{app}_{Path(name).stem}"
            folder.mkdir(exist_ok=True)
            shutil.copy(ours, folder)
            name = f"{folder.name}/{name}"
        if alone:
            page = browser.new_page(viewport=SIZE)
        else:
            page = lab_page if app == "lab" else lab_context.new_page()
        notebook = Notebook(page, lab_address, name, app=app, reload=page is not lab_page)
        yield notebook
        notebook.stop()
        notebook.let_go()
        if page is not lab_page:
            page.close()

    return opened
