"""A chat with a workflow in a notebook: messages, cards for pauses, and the engagement beside them as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from ..core.errors import FtnbError
from ..core.ids import new_id
from ..recorder import Recorder
from ._sync import background_loop
from .turns import StreamEvent, WorkflowTurn

if TYPE_CHECKING:
    from .workflow import Workflow

_BUBBLE = {"padding": "4px 10px", "margin": "2px 0", "border": "1px solid #8884", "max_width": "95%"}
ToInput = Callable[[str], Any]


def _as_state(text: str) -> Any:
    return {"messages": [text]}


def _as_reply(text: str) -> Any:
    return {"text": text}


class ChatBox(widgets.HBox):  # type: ignore[misc]  # ipywidgets has no types
    """A conversation with a workflow: the first message starts it, each later one answers the pause.

    What is typed goes to the workflow; what its steps stream or emit appears as it comes; the card of a pause
    (`ctx.pause(payload=…)`) gets a button for each of its `actions`, or a yes and a no.
    """

    def __init__(
        self,
        workflow: Workflow,
        recorder: Recorder,
        *,
        thread_id: str | None = None,
        to_input: ToInput = _as_state,
        to_reply: ToInput = _as_reply,
        show_trace: bool = True,
        **options: Any,
    ) -> None:
        """`to_input` makes the first state of a message, default `{"messages": [text]}`; `to_reply` the answer to a
        pause, default `{"text": text}`. `options` go to every turn: llm, deps, config, checkpointer, metadata.
        """
        self.workflow, self.recorder = workflow, recorder
        self.thread_id = thread_id or new_id()
        self.turn: WorkflowTurn | None = None
        """The latest turn; None before the first."""
        self.transcript: list[tuple[str, str]] = []
        """What was said: (who, text), who being `you`, `agent`, `card` or `error`."""
        self._to_input, self._to_reply, self._options = to_input, to_reply, options
        self._lines = widgets.VBox([])
        self._card = widgets.VBox([])
        self._field = widgets.Text(placeholder="Say something", layout={"width": "auto", "flex": "1 1 auto"})
        self._send = widgets.Button(description="Send", button_style="primary", layout={"width": "80px"})
        self._status = widgets.Label("")
        self._trace = widgets.VBox([])
        self._view: Any = None
        self._open: Any = None
        """The line that tokens go to; None: they begin a new one."""
        self._show_trace = show_trace
        self._tasks: set[Future[Any]] = set()
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:  # made by a script
            self._loop = background_loop()
        self._field.on_msg(self._on_key)
        self._send.on_click(lambda _: self._typed())
        talk = widgets.VBox(
            [self._lines, self._card, widgets.HBox([self._field, self._send]), self._status],
            layout={"width": "40%" if show_trace else "100%", "min_width": "280px"},
        )
        self._trace.layout = widgets.Layout(width="60%")
        super().__init__([talk, self._trace] if show_trace else [talk])

    def __repr__(self) -> str:
        status = "not begun" if self.turn is None else self.turn.status
        return f"<ChatBox {self.workflow.name!r}: {len(self.transcript)} lines, {status}>"

    async def say(self, text: str) -> WorkflowTurn:
        """Say something, and wait for the turn to end."""
        self._line("you", text)
        return await self._go(self._to_reply(text) if self._waits() else self._to_input(text))

    async def answer(self, value: Any) -> WorkflowTurn:
        """Answer the pause with `value`, as a button of its card does."""
        self._line("you", _shown(value))
        return await self._go(value)

    # --- turns ---

    def _waits(self) -> bool:
        return self.turn is not None and self.turn.is_paused

    async def _go(self, value: Any) -> WorkflowTurn:
        self._card.children = ()
        self._busy(True)
        try:
            async for event in self._events(value):
                self._take(event)
        except Exception as error:
            self.turn = None  # a conversation that failed is over: what is said next begins another
            self._line("error", f"{type(error).__name__}: {error}")
            raise
        finally:
            self._busy(False)
            self._refresh()
        assert self.turn is not None
        return self.turn

    def _events(self, value: Any) -> AsyncIterator[StreamEvent]:
        options = dict(self._options)
        if self._waits():
            options.pop("metadata", None)
            options.pop("name", None)
            return self.workflow.stream_resume(self.thread_id, self.recorder, input=value, **options)
        return self.workflow.stream(value, self.recorder, thread_id=self.thread_id, **options)

    def _take(self, event: StreamEvent) -> None:
        if event.kind == "step_started":
            self._status.value = f"{event.data['node']} …"
            self._open = None
        elif event.kind == "token":
            self._token(event.data["text"])
        elif event.kind == "emit":
            self._line("card", _shown(event.data))
        elif event.kind == "step_finished":
            self._refresh()
        elif event.turn is not None:
            self._ended(event.turn)

    def _ended(self, turn: WorkflowTurn) -> None:
        self.turn = turn
        self._status.value = (
            f"{turn.status}{f': {turn.awaiting}' if turn.awaiting else ''} · {turn.token_usage.total} tokens"
        )
        if turn.interrupt is not None:
            self._line("card", _shown(turn.interrupt))
            self._card.children = (widgets.HBox([self._button(*one) for one in _actions(turn.interrupt)]),)

    # --- what is seen ---

    def _line(self, who: str, text: str) -> widgets.HTML:
        self.transcript.append((who, text))
        line = widgets.HTML(_markup(who, text), layout=_BUBBLE)
        self._lines.children = (*self._lines.children, line)
        self._open = None
        return line

    def _token(self, text: str) -> None:
        if self._open is None:
            self._open = self._line("agent", "")
        whole = self.transcript[-1][1] + text
        self.transcript[-1] = ("agent", whole)
        self._open.value = _markup("agent", whole)

    def _button(self, label: str, value: Any) -> widgets.Button:
        button = widgets.Button(description=label)
        button.on_click(lambda _: self._spawn(self.answer(value)))
        return button

    def _on_key(self, _: Any, content: Any, buffers: Any) -> None:
        if isinstance(content, dict) and content.get("event") == "submit":
            self._typed()

    def _typed(self) -> None:
        text = self._field.value.strip()
        if text:
            self._field.value = ""
            self._spawn(self.say(text))

    def _spawn(self, work: Any) -> None:
        """Do it on the loop in which the chat was made: messages of the browser may arrive on another thread."""
        task = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # it is in the chat already

    def _busy(self, is_busy: bool) -> None:
        self._field.disabled = self._send.disabled = is_busy

    def _refresh(self) -> None:
        """Show the engagement as it is now."""
        if not self._show_trace:
            return
        try:
            engagement = self._engagement()
            if engagement is None:
                return
            if self._view is None or self._view.engagement.id != engagement.id:
                from ..widget.view import EngagementView

                self._view = EngagementView(engagement)
                self._trace.children = (self._view,)
            else:
                self._view.update(engagement)
        except FtnbError as error:  # no bundle, no trace yet: the chat goes on without the picture
            self._trace.children = (widgets.Label(str(error)),)

    def _engagement(self) -> Any:
        store = self.recorder.store
        found = store.list_engagements(where={self.workflow.THREAD_META_KEY: self.thread_id}, limit=1, newest=True)
        return store.get_engagement(found[0].id) if found else None


def _actions(card: dict[str, Any]) -> list[tuple[str, Any]]:
    """The buttons of a card: its `actions` (labels, or {label: reply}), or yes and no."""
    given = card.get("actions")
    if isinstance(given, dict):
        return [(str(label), reply) for label, reply in given.items()]
    if isinstance(given, list):
        return [(str(label), {"action": label}) for label in given]
    return [("Yes", {"confirm": True}), ("No", {"confirm": False})]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {one}" for key, one in value.items() if key != "actions")
    return str(value)


def _markup(who: str, text: str) -> str:
    from html import escape

    return f"<b>{escape(who)}</b><div style='white-space:pre-wrap'>{escape(text)}</div>"
