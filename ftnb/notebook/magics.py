"""`%ftnb` and `%%trace`.

`%%trace` is no ordinary cell magic: one of those is handed its cell as text and has to run it itself, which breaks
top-level await in a kernel whose event loop is running, and other magics. So the line is rewritten, before the cell is
compiled, into a call that begins the labels, and the cell runs as it would without it; the labels end with the cell.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser

from .. import session
from ..core.errors import FtnbError
from ..langgraph_adapter import _scope
from ..langgraph_adapter._scope import Labels
from ..live.alerts import alerts as live_alerts
from ._capturing import Capturing, described
from .live_display import LiveDisplay

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_USAGE = (
    "%ftnb status | on | off | store PATH | display auto|off | monitor | audit on|off|head|verify"
    " | capture SDK … | uncapture [SDK …] | help"
)
_HELP = """\
%ftnb                        what is recorded, where to, and whether anything was lost (also: %ftnb status)
%ftnb on | off               go on recording, or pause
%ftnb store PATH             record into another file, a folder of Parquet (traces/), postgresql://… or redis://…
%ftnb display auto | off     show the newest run of each cell, or only what is asked for
%ftnb monitor                what runs, waits and has just ended
%ftnb capture SDK … | uncapture [SDK …]    calls made with openai, anthropic, google, litellm, instructor, too
%ftnb audit on | off | head | verify       sign what is recorded; the head to keep; check everything
%%trace --name NAME --user ID --goal NODE  as a cell's first line: label its runs, and show them while they go on
                             (also --global NODE, --tools NODE=TOOL,TOOL, --meta KEY=VALUE)
In Python: ftnb.last() is the newest run, ftnb.open("traces.db") are all of them; `ftnb --help` in a terminal."""
_TRACE = "%%trace"


def say(text: str) -> None:
    """Tell the user one line."""
    print(text)  # noqa: T201  (a notebook's cell output is where its user looks)


class Magics:
    """The magics of one shell, and what they remember of the cell that runs."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell: Any = shell
        self._replaced: dict[tuple[str, str], Any] = {}
        self._capturing = Capturing()
        self.owns_session = False
        """The recording session was begun from here, and ends with the extension."""
        self._shows_runs = False
        """`%ftnb display auto`: show the newest run of each cell."""
        self._is_traced = False
        """The cell that runs has `%%trace`."""
        self._n_before = 0
        """Turns begun when the cell started."""
        self._live: LiveDisplay | None = None
        """The view of the cell that runs, which shows its runs while they go on."""

    # --- coming and going ---

    def register(self) -> None:
        """Add the magics and hooks, remembering what was there."""
        for kind, name, function in self._functions():
            table = self._shell.magics_manager.magics[kind]
            self._replaced[kind, name] = table.get(name)
            table[name] = function
        self._shell.input_transformers_cleanup.append(rewrite_trace)
        self._shell.events.register("pre_run_cell", self._before)
        self._shell.events.register("post_run_cell", self._after)

    def unregister(self) -> None:
        """Give back what was there, unless the user has replaced it since."""
        for kind, name, function in self._functions():
            table = self._shell.magics_manager.magics[kind]
            if table.get(name) != function:
                continue
            before = self._replaced.get((kind, name))
            if before is None:
                table.pop(name)
            else:
                table[name] = before
        for remove, what in self._hooks():
            try:
                remove(what)
            except ValueError:  # somebody else took it out
                pass
        _scope.cell_labels = None
        self._capturing.release()

    def _functions(self) -> list[tuple[str, str, Callable[..., None]]]:
        return [("line", "ftnb", self.ftnb), ("cell", "trace", self.trace)]

    def _hooks(self) -> list[tuple[Callable[[Any], None], Any]]:
        events = self._shell.events
        return [
            (self._shell.input_transformers_cleanup.remove, rewrite_trace),
            (lambda hook: events.unregister("pre_run_cell", hook), self._before),
            (lambda hook: events.unregister("post_run_cell", hook), self._after),
        ]

    # --- %ftnb ---

    def ftnb(self, line: str = "") -> None:
        """Record or not, where to, and how it goes: status | on | off | store PATH | display auto|off | monitor | help.

        audit on | off | head | verify: sign what is recorded, field by field; the head to keep; check everything.
        capture SDK … | uncapture [SDK …]: calls through openai, anthropic, google, litellm, instructor, too.
        """
        verb, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if verb == "trace":
            self._begin(rest)
        elif verb in ("", "status") and not rest:
            say(status())
        elif verb == "help":
            say(_HELP)
        elif verb in ("on", "off") and not rest:
            self._switch(verb == "on")
        elif verb == "store" and rest:
            self._store(rest)
        elif verb == "display" and rest in ("auto", "off"):
            self._shows_runs = rest == "auto"
            what = "the newest run of each cell is shown" if self._shows_runs else "runs are shown on request"
            say(f"ftnb: display {rest}: {what}")
        elif verb == "audit":
            _audit(rest)
        elif verb in ("capture", "uncapture"):
            say(self._capturing(verb, rest))
        elif verb == "monitor" and not rest:
            _monitor()
        else:
            raise UsageError(f"%ftnb {line.strip()}: not understood. Usage: {_USAGE}")

    def _switch(self, on: bool) -> None:
        current = session.current()
        if current is None and on:
            current, self.owns_session = session.start(), True
        if current is None:
            say("ftnb: nothing is recorded")
            return
        if on:
            current.resume()
        else:
            current.pause()
        say(f"ftnb: {current.describe()}")

    def _store(self, given: str) -> None:
        before = session.current()
        try:
            started = session.start(_unquoted(given))
        except FtnbError as error:
            raise UsageError(f"%ftnb store: {error}") from error
        self.owns_session = self.owns_session or started is not before
        say(f"ftnb: {'already ' if started is before else ''}{started.describe()}")

    # --- %%trace ---

    def trace(self, line: str, cell: str) -> None:
        """Label every engagement that begins in this cell, and show the last one.

        --name NAME  --user ID  --goal NODE  --global NODE  --tools NODE=TOOL,TOOL  --meta KEY=VALUE
        (--goal, --global, --tools and --meta may be given several times)
        """
        # Reached only inside another cell magic: as the first line of a cell it is rewritten, see above.
        self._begin(line)
        self._shell.run_cell(cell)

    def _begin(self, line: str) -> None:
        if session.current() is None:
            raise UsageError("%%trace: nothing is recorded; say %ftnb on first")
        _scope.cell_labels = parse_labels(line)
        self._is_traced = True
        if self._live is None:
            self._live = LiveDisplay.begin(self._shell)
            if self._live is not None:
                self._live.show()

    # --- around each cell ---

    def _before(self, *_: Any) -> None:
        _scope.cell_labels, self._is_traced = None, False
        current = session.current()
        self._n_before = 0 if current is None else current.n_turns()
        if self._shows_runs:
            self._live = LiveDisplay.begin(self._shell)

    def _after(self, *_: Any) -> None:
        _scope.cell_labels = None
        shows, self._is_traced = self._is_traced or self._shows_runs, False
        current = session.current()
        if current is None:
            return
        begun = current.n_turns()  # flushes: what a cell recorded is in the store when the cell is over
        shown, self._live = self._live, None
        if shown is not None:
            shown.end()
        elif shows and begun != self._n_before and current.newest() is not None:
            _show()


def rewrite_trace(lines: list[str]) -> list[str]:
    """The lines of a cell, its first `%%trace …` line turned into a call that keeps its place."""
    if not lines or not lines[0].startswith(_TRACE):
        return lines
    given = lines[0].rstrip("\r\n")
    rest = given[len(_TRACE) :]
    if rest and not rest[0].isspace():
        return lines  # another magic, or %%trace? asking for help
    end = lines[0][len(given) :] or "\n"
    call = f"get_ipython().run_line_magic('ftnb', {'trace ' + rest.strip()!r}){end}"
    return [call, *lines[1:]]


def status() -> str:
    """What is recorded, where to, and what was lost. Never raises."""
    try:
        current = session.current()
        if current is None:
            return "ftnb: nothing is recorded (%ftnb on starts)"
        stats = current.stats()
        begun = current.n_engagements()
        lines = [f"ftnb: {current.describe()}"]
        lines.append(f"  {begun} engagements begun; {stats.committed} records committed, {stats.pending} pending")
        if sdks := described():
            lines.append(f"  {sdks}")
        if stats.dropped:
            lost = ", ".join(f"{reason} {n}" for reason, n in sorted(stats.dropped.items()))
            lines.append(f"  not kept: {lost}")
        if stats.stalled_s >= 1:
            lines.append(f"  the writer waits for the store since {stats.stalled_s:.0f} s: it is locked, full or gone")
        if stats.last_error:
            lines.append(f"  last problem: {stats.last_error}")
        lines += [f"  alert {one.name!r}: came true {len(one.fired)} times" for one in live_alerts()]
        return "\n".join(lines)
    except Exception as error:
        return f"ftnb: the state cannot be told ({type(error).__name__}: {error})"


def parse_labels(line: str) -> Labels:
    """The labels that a `%%trace` line gives. Raises UsageError."""
    parser: Any = MagicArgumentParser("%%trace", add_help=False)  # type: ignore[no-untyped-call]
    parser.add_argument("--name")
    parser.add_argument("--user")
    for several in ("--goal", "--global", "--tools", "--meta"):
        parser.add_argument(several, action="append", default=[])
    try:
        given = parser.parse_args(shlex.split(line))
    except ValueError as error:
        raise UsageError(f"%%trace: {error}") from error
    metadata = {"user_id": given.user} if given.user is not None else {}
    metadata.update(_pairs(given.meta, "--meta key=value"))
    tools = {node: names.split(",") for node, names in _pairs(given.tools, "--tools node=tool1,tool2").items()}
    return Labels.of(given.name, metadata, _several(given.goal), _several(getattr(given, "global")), tools)


def _several(given: list[str]) -> set[str]:
    return {name for one in given for name in one.split(",") if name}


def _pairs(given: list[str], usage: str) -> Mapping[str, str]:
    pairs: dict[str, str] = {}
    for one in given:
        key, separator, value = one.partition("=")
        if not separator or not key:
            raise UsageError(f"%%trace: {one!r} is not understood; write {usage}")
        pairs[key] = value
    return pairs


def _unquoted(given: str) -> str:
    return given[1:-1] if len(given) > 1 and given[0] == given[-1] and given[0] in "'\"" else given


def _audit(verb: str) -> None:
    from IPython.display import display

    from ..audit import Audit, Trail

    current = session.current()
    if current is None:
        raise UsageError("%ftnb audit: nothing is recorded; say %ftnb on first")
    try:
        trail = Trail(current.store)
        if verb == "on":
            trail.sign_with(Audit(profile="audit"))
            say(
                f"ftnb: the head is signed, each field has a commitment of its own; give others this key:\n{trail.vkey}"
            )
        elif verb == "off":
            trail.stop_signing()
            say("ftnb: the head is not signed from now on; everything is sealed all the same")
        elif verb == "head":
            say(trail.head().text)
        elif verb == "verify":
            display(trail.verify())  # type: ignore[no-untyped-call]
        else:
            raise UsageError(f"%ftnb audit {verb}: not understood. Usage: %ftnb audit on | off | head | verify")
    except FtnbError as error:
        raise UsageError(f"%ftnb audit: {error}") from error


def _monitor() -> None:
    from IPython.display import display

    from ..live.monitor import monitor

    try:
        display(monitor())  # type: ignore[no-untyped-call]
    except FtnbError as error:
        raise UsageError(f"%ftnb monitor: {error}") from error


def _show() -> None:
    from IPython.display import display

    try:
        display(session.last())  # type: ignore[no-untyped-call]
    except Exception as error:  # showing a run must not break its cell
        say(f"ftnb: the run was recorded but cannot be shown ({type(error).__name__}: {error})")
