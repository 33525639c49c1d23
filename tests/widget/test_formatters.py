from __future__ import annotations

from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from ftnb.core.errors import FtnbError
from ftnb.core.model import Engagement
from ftnb.notebook import formatters
from ftnb.widget import view
from tests.widget import traces


@pytest.fixture
def shell() -> Any:
    return InteractiveShell()


def _mime(shell: Any, value: Any) -> dict[str, Any]:
    data, _ = shell.display_formatter.format(value)
    return dict(data)


def test_an_engagement_is_shown_as_widget_in_a_kernel(shell: Any) -> None:
    shell.kernel = object()
    formatters.register(shell)
    data = _mime(shell, traces.house())
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"].startswith("house_search: completed")


def test_without_a_kernel_there_is_the_picture_and_no_widget(shell: Any) -> None:
    formatters.register(shell)
    assert set(_mime(shell, traces.house())) == {"text/html", "text/plain"}


def test_where_the_widget_cannot_be_made_the_picture_says_why(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise FtnbError("the widget's JavaScript bundle is missing")

    monkeypatch.setattr(view, "runtime", missing)
    shell.kernel = object()
    formatters.register(shell)
    data = _mime(shell, traces.house())
    assert "<svg" in data["text/html"]
    assert "bundle is missing" in data["text/plain"]


def test_unregister_gives_back_what_was_there(shell: Any) -> None:
    formatter = shell.display_formatter.mimebundle_formatter
    before = (dict(formatter.type_printers), dict(formatter.deferred_printers))
    formatters.register(shell)
    formatters.register(shell)
    _mime(shell, traces.empty())
    formatters.unregister(shell)
    assert (dict(formatter.type_printers), dict(formatter.deferred_printers)) == before


def test_a_users_own_formatter_comes_back_and_a_later_one_stays(shell: Any) -> None:
    def mine(engagement: Any, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": "mine"}

    formatter = shell.display_formatter.mimebundle_formatter
    formatter.for_type(Engagement, mine)
    formatters.register(shell)
    assert _mime(shell, traces.empty())["text/plain"] != "mine"
    formatters.unregister(shell)
    assert _mime(shell, traces.empty())["text/plain"] == "mine"
    formatters.register(shell)
    formatter.for_type(Engagement, mine)
    formatters.unregister(shell)
    assert _mime(shell, traces.empty())["text/plain"] == "mine"
