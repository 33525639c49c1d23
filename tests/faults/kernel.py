"""A real IPython kernel in a process of its own, driven as a notebook drives it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.manager import KernelManager

REPOSITORY = Path(__file__).parents[2]


class Kernel:
    """A kernel and its one client."""

    def __init__(self, manager: KernelManager, client: Any) -> None:
        self.manager = manager
        self.client = client

    def run(self, code: str, *, until: str = "", then: Callable[[], Any] = lambda: None, timeout: float = 60) -> Cell:
        """Run a cell to its end; `then` is called once it has printed `until`."""
        asked = self.client.execute(code)
        cell, stop = Cell(), time.monotonic() + timeout
        waiting = bool(until)
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=max(stop - time.monotonic(), 0.01))
            except Empty as error:
                raise TimeoutError(f"the cell did not end in {timeout} s; it printed {cell.printed!r}") from error
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                cell.printed += content["text"]
            elif kind == "error":
                cell.error = content["ename"]
                cell.traceback = "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                return cell
            if waiting and until in cell.printed:
                waiting = False
                then()

    def value(self, expression: str) -> Any:
        """What an expression of JSON values is in the kernel."""
        cell = self.run(f"import json; print('\\x02' + json.dumps({expression}))")
        assert cell.error is None, cell.traceback
        return json.loads(cell.printed.rsplit("\x02", 1)[1])

    def interrupt(self) -> None:
        """What the stop button does."""
        self.manager.interrupt_kernel()


class Cell:
    """What came of a cell."""

    def __init__(self) -> None:
        self.printed = ""
        self.error: str | None = None
        self.traceback = ""


@contextlib.contextmanager
def kernel_in(folder: Path) -> Iterator[Kernel]:
    """A kernel whose working directory is `folder`."""
    manager = KernelManager(kernel_name="python3")
    paths = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "IPYTHONDIR": str(folder / "ip")}
    manager.start_kernel(cwd=str(folder), env=environment)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
