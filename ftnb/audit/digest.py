"""One digest over a whole engagement: the simplest proof, kept by whoever wants to compare later.

The digest is over the tree that the engagement folds to, and says by which scheme it was made:

    ftnb1:<hex of SHA-256(canonical JSON of the model, without fields that have their default)>

Fields that later versions add have constant defaults and so do not enter where they say nothing: a digest taken today
is the digest of the same engagement under a later ftnb. It cannot say more than "altered": single records, the set of
engagements, and what was redacted or purged are proved by the trees over the log.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from ..core.canonical import dumps
from ..core.errors import InvalidArgumentError
from ..core.model import Engagement

SCHEME = "ftnb1"


def engagement_digest(engagement: Engagement) -> str:
    """The digest of everything that the engagement says."""
    said = engagement.model_dump(mode="python", exclude_defaults=True, exclude_computed_fields=True)
    return f"{SCHEME}:{sha256(dumps(said)).hexdigest()}"


def verify(engagement: Engagement, digest: str) -> bool:
    """Whether `digest` was taken of this very engagement; False: it was altered since.

    Raises InvalidArgumentError for what is no digest of ours, or one by a scheme that this version does not know.
    """
    scheme, _, value = digest.partition(":")
    if len(value) != 64 or not scheme.startswith("ftnb"):
        raise InvalidArgumentError(f"{digest!r} is no digest of an engagement; they look like {SCHEME}:<64 hex digits>")
    if scheme != SCHEME:
        raise InvalidArgumentError(
            f"digest {digest!r} is of scheme {scheme!r}, this ftnb knows {SCHEME!r}; upgrade ftnb"
        )
    return hmac.compare_digest(engagement_digest(engagement), digest)
