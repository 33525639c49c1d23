"""The renaming touches the package and nothing else, so that a seed test means what it meant."""

from __future__ import annotations

import pytest

from tests.seed_suite.rename import rename_package


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from ft.core.model import Step\n", "from ftnb.core.model import Step\n"),
        ("import ft\nft.start()\n", "import ftnb\nftnb.start()\n"),
        ("from ft import checkpoint\n", "from ftnb import checkpoint\n"),
        ("if x:\n    import ft.store.sqlite as ft_store\n", "if x:\n    import ftnb.store.sqlite as ft_store\n"),
        ('m.setattr("ft.store.redis.client", 1)\n', 'm.setattr("ftnb.store.redis.client", 1)\n'),
        ("ft.a(ft.b); x = ft.c\n", "ftnb.a(ftnb.b); x = ftnb.c\n"),
        ('s = """\nimport os\nft.server.app\n"""; ft.x\n', 's = """\nimport os\nftnb.server.app\n"""; ftnb.x\n'),
    ],
)
def test_uses_of_the_package_are_renamed(before: str, after: str) -> None:
    assert rename_package(before, "ft", "ftnb") == after


@pytest.mark.parametrize(
    "source",
    [
        "height_ft = 3\n",
        'd = {"ft_thread_id": 1, "ft": 2}\n',
        "obj.ft.x = 1\n",
        "# ft.store is gone\n",
        'a = "6 ft. tall"\n',
    ],
)
def test_what_only_looks_like_it_stays(source: str) -> None:
    assert rename_package(source, "ft", "ftnb") == source
