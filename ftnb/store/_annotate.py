"""Adding a judgement to a recorded engagement."""

from __future__ import annotations

import math

from ..core.errors import InvalidArgumentError
from ..core.model import Annotation
from .base import LogStore
from .records import AnnotationRecorded


def annotate(
    store: LogStore,
    engagement_id: str,
    label: object,
    value: object,
    *,
    by: str | None = None,
    note: str | None = None,
    step_id: str | None = None,
) -> Annotation:
    """Append the annotation. Raises InvalidArgumentError, and StoreError where nothing can be written."""
    if not isinstance(label, str) or not label.strip():
        raise InvalidArgumentError(f"an annotation needs a label, as 'correct' or 'rating'; got {label!r}")
    if not isinstance(value, bool | int | float | str):
        raise InvalidArgumentError(
            f"the value of annotation {label!r} is a number, a text or yes/no; got {type(value).__name__}. "
            "Put anything longer into note="
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidArgumentError(f"the value of annotation {label!r} is no finite number: {value!r}")
    made = Annotation(label=label, value=value, by=by, note=note, step_id=step_id)
    store.append(AnnotationRecorded(engagement_id=engagement_id, ts=made.ts, annotation=made))
    return made
