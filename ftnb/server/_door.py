"""The guard at the network's door: every connection that uvicorn takes is checked before the application sees it."""

from __future__ import annotations

from typing import Any

from ._guard import Guard


def behind(guard: Guard) -> dict[str, Any]:
    """Options for `uvicorn.run` that put `guard` before whatever application it is given."""
    from uvicorn.protocols.http.h11_impl import H11Protocol
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    class GuardedHttp(H11Protocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.app = guard.around(self.app)

    class GuardedWebSocket(WebSocketsSansIOProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.app = guard.around(self.app)

    return {"http": GuardedHttp, "ws": GuardedWebSocket}
