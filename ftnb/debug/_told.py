"""What a view of one engagement asks of debugging."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..widget.protocol import Relative, Saved
from ._family import family
from ._insight import insight, saved_insights

if TYPE_CHECKING:
    from ..widget.view import EngagementView


class Told:
    """The answers; all are looked up when they are asked for."""

    def __init__(self, of: Callable[[], Any]) -> None:
        """`of` gives the handle of the engagement that is shown."""
        self._of = of

    @property
    def _handle(self) -> Any:
        return self._of()

    @property
    def engagement_id(self) -> str:
        """Whose answers these are."""
        return str(self._handle.id)

    def insight(self, step_id: str, what: str) -> Any:
        """See `debug._insight.insight`."""
        return insight(self._handle.look(), step_id, what, self._handle.model)

    def relatives(self) -> list[Relative]:
        """The members of its family; empty where it has none but itself."""
        found = family(self._handle._store, self._handle.id)
        return found if len(found) > 1 else []

    def saved(self) -> Saved:
        """What a page without a kernel carries."""
        return Saved(insights=saved_insights(self._handle.look(), self._handle.model), family=self.relatives())

    def other(self, engagement_id: str) -> EngagementView:
        """The view of another engagement of the same store."""
        handle = type(self._handle)(self._handle._store, engagement_id)
        view: EngagementView = handle.widget()
        return view
