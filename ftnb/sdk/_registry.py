"""Which SDKs can be captured, and which are: `capture`, `uncapture`, `captured`."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import threading
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

from ..core import _call_scope
from ..core._optional import require
from ..core.errors import FtnbError, InvalidArgumentError, MissingPackageError, PartialTraceWarning
from ._patch import Patch, Switch

Version = tuple[int, ...]


class Sdk(NamedTuple):
    """One SDK that can be captured."""

    module: str
    package: str
    extra: str
    tested: tuple[Version, Version]
    """From this version on, up to below that one."""


SDKS = {
    "openai": Sdk("openai", "openai", "openai", ((3, 3), (4,))),
    "anthropic": Sdk("anthropic", "anthropic", "anthropic", ((2, 12), (3,))),
    "google": Sdk("google.genai", "google-genai", "google", ((3, 4), (4,))),
    "litellm": Sdk("litellm", "litellm", "llm", ((1, 83), (2,))),
    "instructor": Sdk("instructor", "instructor", "extraction", ((1, 17), (2,))),
}
_OTHER_NAMES = {
    "azure": "openai", "claude": "anthropic", "gemini": "google", "genai": "google", "google-genai": "google",
    "google.genai": "google", "google_genai": "google", "vertexai": "google", "vertex": "google", "gpt": "openai",
}  # fmt: skip
_ELSEWHERE = {"langchain", "langgraph", "langchain_openai", "langchain-openai"}

_lock = threading.RLock()
_taken: dict[str, tuple[Switch, list[Patch]]] = {}
_held: set[str] = set()
"""Of these, those that are taken for replays only."""


def capture(*names: str) -> list[str]:
    """Record the calls that go through these SDKs: "openai", "anthropic", "google", "litellm", "instructor".

    From now on each call of a model is an event of the step that it is made in: a node of a graph or workflow, a step
    of plain code. In a block of `ftnb.record` and in no step, it is a step of its own; outside any, an engagement of
    its own. What a call takes, gives and raises is unchanged. Nothing is recorded while no session records.

    Returns the names of all SDKs that are captured now; without names, only that. Again with the same name changes
    nothing. Raises InvalidArgumentError for a name that is none of these, and MissingPackageError for an SDK that is
    not installed, before anything is changed; an SDK of a version that was not tested is captured, with a
    PartialTraceWarning.
    """
    with _lock:
        made: dict[str, tuple[Switch, list[Patch]]] = {}
        for name in _checked(names):
            if name not in _taken:
                made[name] = _prepared(name)
            elif name in _held:
                _held.discard(name)
                _taken[name][0].is_for_replays = False
        for name, (switch, patches) in made.items():
            for patch in patches:
                patch.put()
            _taken[name] = switch, patches
            _call_scope.watch()
        return captured()


def hold() -> None:
    """While a replay runs, have the calls of what it runs looked at, whichever SDK of those imported they go through.

    None of them leaves unasked, then; other calls are left alone. Pair with `release`.
    """
    with _lock:
        for name, sdk in SDKS.items():
            if name in _taken or sdk.module not in sys.modules:
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    switch, patches = _prepared(name)
            except (ImportError, FtnbError):  # a version that is not known
                continue
            switch.is_for_replays = True
            for patch in patches:
                patch.put()
            _taken[name] = switch, patches
            _held.add(name)
            _call_scope.watch()


def release() -> None:
    """Give back what `hold` took, but for what was captured since."""
    with _lock:
        for name in list(_held):
            _give_back(name)


def uncapture(*names: str) -> list[str]:
    """Give these SDKs back as they were, the very same functions; without names, all of them. Twice is fine.

    Calls under way are recorded to their end. Where somebody has wrapped our wrapper since, it stays inside theirs and
    only passes on. Returns the names of the SDKs that are still captured. Raises InvalidArgumentError.
    """
    with _lock:
        for name in _checked(names) if names else list(_taken):
            if name in _taken and name not in _held:
                _give_back(name)
        return captured()


def _give_back(name: str) -> None:
    switch, patches = _taken.pop(name)
    _held.discard(name)
    switch.is_put = False
    for patch in reversed(patches):
        patch.restore()
    _call_scope.unwatch()


def captured() -> list[str]:
    """Names of the SDKs that are captured."""
    return sorted(set(_taken) - _held)


def seen() -> set[str]:
    """Names of the SDKs whose calls are looked at by now, if only those of replays."""
    return set(_taken)


def _checked(names: Sequence[object]) -> list[str]:
    """The names, each once. Raises InvalidArgumentError."""
    if len(names) == 1 and isinstance(names[0], (list, tuple, set)):
        raise InvalidArgumentError(f"the names are arguments of their own: capture({_quoted(list(names[0]))})")
    for name in names:
        if name not in SDKS:
            raise InvalidArgumentError(_unknown(name))
    return list(dict.fromkeys(str(name) for name in names))


def _unknown(name: object) -> str:
    text = f"no SDK {name!r} can be captured; there are: {', '.join(SDKS)}."
    if not isinstance(name, str):
        return text
    given = name.strip().lower()
    if given in _ELSEWHERE:
        return f"{text} Models of LangChain are recorded without it."
    near = [given] if given in SDKS else get_close_matches(given, [*SDKS, *_OTHER_NAMES], n=1, cutoff=0.5)
    return f"{text} Did you mean {_OTHER_NAMES.get(near[0], near[0])!r}?" if near else text


def _quoted(names: Sequence[object]) -> str:
    return ", ".join(f'"{one}"' for one in names)


def _prepared(name: str) -> tuple[Switch, list[Patch]]:
    sdk = SDKS[name]
    module = require(sdk.module, feature=f"capture({name!r})", extra=sdk.extra)
    _warn_if_untested(name, sdk)
    switch = Switch()
    try:
        made = importlib.import_module(f"._{name}", __package__).patches(module, switch)
    except (ImportError, AttributeError, KeyError) as error:
        raise MissingPackageError(
            f"capture({name!r}) does not know this version of {sdk.package} ({_installed(sdk)}): {error} is not where "
            f"it was. Tested: {_range(sdk)}. Install one of these: pip install '{sdk.package}{_range(sdk)}'"
        ) from error
    return switch, made


def _warn_if_untested(name: str, sdk: Sdk) -> None:
    version = _installed(sdk)
    numbers = _numbers(version)
    low, high = sdk.tested
    if numbers and not low <= numbers < high:
        warnings.warn(
            f"capture({name!r}): {sdk.package} {version} was not tested, {_range(sdk)} was; calls may be missing from "
            "the trace or lack some of their content",
            PartialTraceWarning,
            stacklevel=4,
        )


def _installed(sdk: Sdk) -> str:
    try:
        return importlib.metadata.version(sdk.package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _numbers(version: str) -> Version:
    numbers = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def _range(sdk: Sdk) -> str:
    low, high = sdk.tested
    return f">={'.'.join(map(str, low))},<{'.'.join(map(str, high))}"
