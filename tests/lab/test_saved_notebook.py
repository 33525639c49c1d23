"""A notebook with views in it that is saved, opened again beside its kernel, without it, and by somebody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Locator, expect

from tests.lab.conftest import Open
from tests.lab.jupyter import Notebook

pytestmark = pytest.mark.browser
CELLS = (
    "import ftnb\n"
    "ftnb.start('t.db')\n"
    "with ftnb.record('booking') as run:\n"
    "    for name in ('greet', 'search', 'submitted'):\n"
    "        with run.step(name):\n"
    "            pass\n"
    "ftnb.stop()\n"
    "tr = ftnb.open('t.db')\n"
    "w = tr.last().widget()\n"
    "w",
    "w",
    "tr",
    "tr.funnel(['greet', 'search'], mode='ordered').widget()",
)
_VIEW = ".ftnb[data-ready='1']"


@pytest.fixture(scope="module", params=["lab", "notebook"])
def app(request: Any) -> str:
    """Which of the two applications."""
    return str(request.param)


@pytest.fixture(scope="module")
def path(app: str, lab_folder: Path) -> Path:
    """The notebook's file."""
    folder = lab_folder / f"saved_{app}"
    folder.mkdir()
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, folder / "views.ipynb")
    return folder / "views.ipynb"


@pytest.fixture(scope="module")
def notebook(app: str, path: Path, open_notebook: Open) -> Iterator[Notebook]:
    """It, open with all of its cells run and saved."""
    with open_notebook(f"{path.parent.name}/{path.name}", app=app) as opened:
        opened.run_all()
        for place in _places(opened).all()[:3]:
            expect(place.locator(_VIEW)).to_have_count(1, timeout=30_000)
        expect(_places(opened).nth(3).locator(".js-plotly-plot svg").first).to_be_visible(timeout=30_000)
        opened.save()
        yield opened


def _places(notebook: Notebook) -> Locator:
    return notebook.page.locator(".jp-OutputArea-output ftnb-view")


def test_while_the_kernel_is_there_each_output_shows_its_view_and_nothing_twice(notebook: Notebook) -> None:
    assert notebook.failed_outputs() == []
    expect(_places(notebook)).to_have_count(len(CELLS))
    for place in _places(notebook).all():
        picture = place.locator("> :not([slot])").first
        expect(picture).to_have_count(1)
        expect(picture).to_be_hidden()
    assert len(set(_places(notebook).evaluate_all("all => all.map(place => place.dataset.key)"))) == len(CELLS) - 1


def test_two_outputs_of_one_view_have_one_selection(notebook: Notebook) -> None:
    notebook.ask_kernel("w.select('search')")
    for k in (0, 1):
        expect(_places(notebook).nth(k).locator(".ftnb-where")).to_have_text("search")


def test_what_is_saved_names_no_widget_and_has_no_script(notebook: Notebook, path: Path) -> None:
    saved = nbformat.read(path, as_version=4)
    assert "widgets" not in saved.metadata
    for cell in saved.cells:
        (output,) = cell.outputs
        assert set(output.data) == {"text/html", "text/plain"}
        assert "<script" not in output.data["text/html"]
    assert "<svg" in saved.cells[0].outputs[0].data["text/html"]


def test_a_page_that_is_loaded_again_finds_its_views(notebook: Notebook, app: str, path: Path) -> None:
    again = Notebook(notebook.page, _address(notebook), f"{path.parent.name}/{path.name}", app=app)
    for place in _places(again).all()[:3]:
        expect(place.locator(_VIEW)).to_have_count(1, timeout=30_000)
    expect(_places(again).nth(0).locator(".ftnb-where")).to_have_text("search")
    again.ask_kernel("w.select('greet')")
    expect(_places(again).nth(1).locator(".ftnb-where")).to_have_text("greet")


def test_without_its_kernel_it_shows_the_pictures(notebook: Notebook, app: str, path: Path) -> None:
    notebook.stop()
    again = Notebook(notebook.page, _address(notebook), f"{path.parent.name}/{path.name}", app=app)
    expect(_places(again)).to_have_count(len(CELLS), timeout=30_000)
    for k in (0, 1):
        place = _places(again).nth(k)
        expect(place.locator(_VIEW)).to_have_count(0)
        expect(place.locator("svg").first).to_be_visible()
        expect(place).to_contain_text("submitted")
        place.get_by_text("Steps", exact=True).click()
        expect(place.get_by_role("cell", name="search")).to_be_visible()
    expect(_places(again).nth(2)).to_contain_text("booking")
    expect(_places(again).nth(3)).to_contain_text("greet")
    expect(again.page.get_by_text("model not found")).to_have_count(0)
    again.run_all()
    expect(_places(again).nth(0).locator(_VIEW)).to_have_count(1, timeout=30_000)
    again.stop()


def test_somebody_who_does_not_trust_it_reads_the_table(notebook: Notebook, app: str, path: Path) -> None:
    saved = nbformat.read(path, as_version=4)
    saved.cells[0].source += "  # another notebook"
    nbformat.write(saved, path.with_name("another.ipynb"))
    name = f"{path.parent.name}/another.ipynb"
    other = Notebook(notebook.page, _address(notebook), name, app=app, reload=False)
    shown = other.page.locator(".jp-OutputArea-output").first
    expect(shown).to_contain_text("3 steps", timeout=30_000)
    shown.get_by_text("Steps", exact=True).click()
    expect(shown.get_by_role("cell", name="submitted")).to_be_visible()
    other.stop()


def _address(notebook: Notebook) -> str:
    found = re.match(r"https?://[^/]+", notebook.page.url)
    assert found is not None
    return found[0]
