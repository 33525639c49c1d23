"""How the views look: each designed state, light and dark, against a stored picture.

Pictures are compared at half their size; `pictures.py` states the tolerance. After an intended change,
`FTNB_PICTURES=renew pytest -m browser tests/browser/test_pictures.py` writes them anew: look at them before committing.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ftnb.widget.compare import comparison_payload
from ftnb.widget.payload import engagement_payload
from ftnb.widget.protocol import Following
from tests.browser import many
from tests.browser.harness import Widget
from tests.browser.pictures import FOLDER, RENEW, TOLERANCE, difference, keep, shrunk
from tests.widget import golden, traces

pytestmark = pytest.mark.browser
VIEWPORT = (1000, 900)
Show = Callable[[Widget], Any]
GROUND = {"light": "#ffffff", "dark": "#111111"}
HAS_FONT = """(() => {
  const context = document.createElement("canvas").getContext("2d");
  const width = (fallback) => ((context.font = `40px "DejaVu Sans", ${fallback}`), context.measureText("mills").width);
  return width("serif") === width("monospace");
})()"""


def run(name: str, **options: Any) -> Show:
    return lambda widget: widget.show(traces.ALL[name](), **options)


def live(widget: Widget) -> None:
    following = Following(is_on=True, dropped=3, detail="queue_full: 3", stalled_s=0.0)
    widget.show_payload({**engagement_payload(traces.running()), "following": following})


def compared(widget: Widget) -> None:
    whole, failed = engagement_payload(traces.house()), engagement_payload(traces.house(fail=True))
    widget.show_payload(comparison_payload(whole, failed, names=("before", "after")))


def found_nothing(widget: Widget) -> None:
    widget.show_browser({**many.found(0), "title": "nobody said this"})


STATES: dict[str, Show] = {
    "run": run("house"),
    "failed": run("failed", selection=["s9"], can=["annotate"]),
    "paused": run("paused"),
    "nested": run("nested"),
    "live": live,
    "empty": run("empty"),
    "loading": lambda widget: widget.show_payload(None),
    "error": lambda widget: widget.show_payload({**engagement_payload(traces.house()), "v": 99}),
    "disconnected": run("house", gone=True),
    "narrow": run("failed", width=400),
    "browser": lambda widget: widget.show_browser(many.browser(8)),
    "browser_narrow": lambda widget: widget.show_browser(many.browser(4), width=400),
    "found": lambda widget: widget.show_browser(many.found(6)),
    "found_nothing": found_nothing,
    "monitor": lambda widget: widget.show_monitor(many.monitor()),
    "comparison": compared,
    "map": lambda widget: widget.show_payload(golden.process_map()),
}
NAMES = [f"{state}_{theme}" for state, theme in itertools.product(STATES, GROUND)]


def picture_of(widget: Widget, name: str) -> Image.Image:
    """The view in this state and theme, as it stands when nothing moves any more."""
    state, theme = name.rsplit("_", 1)
    widget.page.emulate_media(reduced_motion="reduce")
    widget.eval(
        "(document.body.dataset.jpThemeLight = argument[0], document.body.style.background = argument[1],"
        " document.documentElement.style.setProperty('--jp-ui-font-family', '\"DejaVu Sans\"'),"
        " document.documentElement.style.setProperty('--jp-code-font-family', '\"DejaVu Sans Mono\"'), 1)",
        ["true" if theme == "light" else "false", GROUND[theme]],
    )
    STATES[state](widget)
    # The graph is painted twice: at once, and by Cytoscape.
    widget.eval("void (app?.graph?.cy ?? app?.graph?.canvas?.cy)")
    widget.settle()
    # Signs on nodes are images, which are decoded beside the page.
    widget.page.wait_for_timeout(60)
    widget.settle()
    return shrunk(widget.page.locator(".ftnb").first.screenshot(animations="disabled"))


@pytest.mark.parametrize("name", NAMES)
def test_it_looks_as_it_did(widget: Widget, name: str, tmp_path: Path) -> None:
    if not widget.eval(HAS_FONT):
        message = "the pictures are set in DejaVu Sans (Debian: apt-get install fonts-dejavu-core)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    seen, path = picture_of(widget, name), FOLDER / f"{name}.png"
    # A protocol that is not spoken is told on the console, too.
    widget.problems.clear()
    if RENEW:
        keep(seen, path)
        return
    away = difference(seen, Image.open(path))
    seen.save(tmp_path / "seen.png")
    assert away <= TOLERANCE, f"{away:.2%} of {path} is other; seen: {tmp_path}/seen.png. {__doc__}"


def test_the_tolerance_tells_states_and_themes_apart() -> None:
    stored = {name: Image.open(FOLDER / f"{name}.png") for name in NAMES}
    assert sorted(path.stem for path in FOLDER.glob("*.png")) == sorted(NAMES)
    for one, other in itertools.combinations(NAMES, 2):
        assert difference(stored[one], stored[other]) > 2 * TOLERANCE, (one, other)


def test_pictures_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.png")) < 1_500_000
