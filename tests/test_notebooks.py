"""The notebooks as they are committed. That they run is tested by running them: `make test-notebooks`."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def trees(path: Path) -> list[ast.Module]:
    to_python = TransformerManager().transform_cell
    return [ast.parse(to_python(cell.source)) for cell in code_cells(path)]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@each_notebook
def test_it_is_a_valid_notebook(path: Path) -> None:
    nbformat.validate(nbformat.read(path, as_version=4))


@each_notebook
def test_no_outputs_are_stored(path: Path) -> None:
    assert [cell.source for cell in code_cells(path) if cell.outputs or cell.execution_count is not None] == []


@each_notebook
def test_no_widget_state_is_stored(path: Path) -> None:
    assert "widgets" not in nbformat.read(path, as_version=4).metadata


@each_notebook
def test_it_names_its_kernel(path: Path) -> None:
    # Without one, JupyterLab asks which to take, and waits.
    assert nbformat.read(path, as_version=4).metadata.kernelspec.name == "python3"


@each_notebook
def test_running_it_can_fail(path: Path) -> None:
    asserts = [node for tree in trees(path) for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert len(asserts) >= 3


@each_notebook
def test_it_uses_neither_network_nor_packages_to_install(path: Path) -> None:
    text = "\n".join(cell.source for cell in code_cells(path))
    assert not re.search(r"https?://|\bpip install\b|\brequests\b|\burllib\b|\bhttpx\b", text)
