"""What secrets look like: names that they are kept under, and shapes that their values have.

A shape is a regular expression, which is slow, behind a *gate*, which is not: a character that every such value holds
(found by `memchr`), then pieces of text of which it holds one. Text that passes no gate is never given to a regular
expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

DEFAULT_KEYS = (
    "password", "passwd", "pwd", "passphrase", "secret", "api_key", "apikey", "secret_key", "private_key",
    "access_key", "encryption_key", "signing_key", "account_key", "authorization", "access_token",
    "refresh_token", "id_token", "auth_token", "bearer_token", "session_token", "security_token", "client_secret",
    "credential", "cookie",
)  # fmt: skip
"""Names, matched as the last words of a key. Never the bare `key`, `token`, `tokens`, `*_tokens` or `session_id`."""


class Shape(NamedTuple):
    """One kind of secret inside a text. What the group `secret` matched is masked; without one, the whole match."""

    name: str
    regex: re.Pattern[str]
    gate: str = ""
    """A character that every match holds; empty: none is known, and every text is searched."""
    pieces: tuple[str, ...] = ()
    """A text without any of these holds no match."""


def _shape(name: str, gate: str, pieces: Iterable[str], regex: str) -> Shape:
    return Shape(name, re.compile(regex), gate, tuple(pieces))


_WORD = r"[A-Za-z0-9_-]"
_ALONE = r"(?<![A-Za-z0-9_-])"
_MIXED = rf"(?={_WORD}*[0-9])"
"""A digit somewhere in the word: keeps names in kebab case apart from keys."""

DEFAULT_SHAPES = (
    _shape("anthropic key", "-", ["sk-"], rf"{_ALONE}sk-ant-{_WORD}{{20,}}"),
    _shape("openai key", "-", ["sk-"], rf"{_ALONE}sk-{_MIXED}{_WORD}{{20,}}"),
    _shape("slack token", "-", ["xox", "xapp-"], rf"{_ALONE}(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{{10,}}"),
    _shape("gitlab token", "-", ["glpat-"], rf"{_ALONE}glpat-{_WORD}{{20,}}"),
    _shape("tavily key", "-", ["tvly-"], rf"{_ALONE}tvly-{_WORD}{{20,}}"),
    _shape(
        "private key", "-", ["-----BEGIN"],
        r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
    ),
    _shape(
        "github token", "_", ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"],
        rf"{_ALONE}(?:gh[pousr]_[A-Za-z0-9]{{36,}}|github_pat_[A-Za-z0-9_]{{22,}})",
    ),
    _shape("stripe key", "_", ["k_live_", "k_test_"], rf"{_ALONE}[sr]k_(?:live|test)_[A-Za-z0-9]{{16,}}"),
    _shape("hugging face token", "_", ["hf_"], rf"{_ALONE}hf_[A-Za-z0-9]{{30,}}"),
    _shape("groq key", "_", ["gsk_"], rf"{_ALONE}gsk_[A-Za-z0-9]{{40,}}"),
    _shape("langsmith key", "_", ["lsv2_"], rf"{_ALONE}lsv2_[a-z]{{2}}_[A-Za-z0-9_]{{32,}}"),
    _shape("aws key id", "A", ["AKIA", "ASIA"], r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _shape("google key", "z", ["AIza"], rf"{_ALONE}AIza{_WORD}{{35}}"),
    _shape("google token", "9", ["ya29."], rf"{_ALONE}ya29\.{_WORD}{{20,}}"),
    _shape("google client secret", "X", ["GOCSPX-"], rf"{_ALONE}GOCSPX-{_WORD}{{20,}}"),
    _shape("jwt", "J", ["eyJ"], rf"{_ALONE}eyJ{_WORD}{{8,}}\.eyJ{_WORD}{{8,}}(?:\.{_WORD}*)?"),
    _shape(
        "authorization header", " ", ["earer ", "EARER "],
        r"(?i)\bbearer +(?P<secret>(?=[A-Za-z0-9._~+/-]*[0-9])[A-Za-z0-9._~+/-]{16,}=*)",
    ),
    _shape("password in a url", "@", ["://"], r"://[^\s/:@\"']{0,64}:(?P<secret>[^\s/@\"']{1,256})@"),
)  # fmt: skip


def words_of(key: str) -> str:
    """A key as lower-case words between underscores: `X-Api-Key`, `apiKey` and `api_key` are the same."""
    spaced = _CAMEL.sub("_", key) if not key.isupper() else key
    return _NO_WORD.sub("_", spaced).lower().strip("_")


_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_WORD = re.compile(r"[^A-Za-z0-9]+")


def key_matcher(names: Iterable[str]) -> re.Pattern[str]:
    """What finds one of `names` as the last words of a key that went through `words_of`."""
    words = sorted({words_of(name) for name in names}, key=len, reverse=True)
    # No plural of tokens: `*_tokens` are counts.
    choices = "|".join(re.escape(word) + ("" if word.endswith("token") else "s?") for word in words)
    return re.compile(rf"(?:^|_)({choices})$") if choices else re.compile(r"(?!)")
