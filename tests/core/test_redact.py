"""What is masked, what is not, and that nothing about it can lose a record."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

import ftnb
from ftnb.core import redact as module
from ftnb.core.canonical import dumps, from_json, to_json
from ftnb.core.errors import InvalidArgumentError
from ftnb.core.redact import Redaction

A1 = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0"
SHAPES = {
    "openai key": f"sk-proj-{A1}",
    "anthropic key": f"sk-ant-api03-{A1}",
    "aws key id": "AKIAIOSFODNN7EXAMPLE",
    "github token": f"ghp_{A1}",
    "gitlab token": f"glpat-{A1}",
    "slack token": "xoxb-123456789012-abcdefghij",
    "google key": f"AIza{A1[:35]}",
    "stripe key": f"sk_live_{A1}",
    "hugging face token": f"hf_{A1}",
    "langsmith key": f"lsv2_pt_{A1}",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----",
}


@pytest.fixture(autouse=True)
def defaults_afterwards() -> Iterator[None]:
    yield
    ftnb.redact("defaults")


def masked(value: Any, **rules: Any) -> Any:
    return Redaction(**rules).to_json(value, "@payload")


# --- the defaults ---


@pytest.mark.parametrize("rule", SHAPES)
def test_a_secret_of_a_known_shape_is_masked_alone_and_inside_a_text(rule: str) -> None:
    secret = SHAPES[rule]
    found = masked({"alone": secret, "inside": f"it is {secret}, keep it"})
    assert found == {
        "alone": {"$ftnb": "redacted", "why": rule},
        "inside": f"it is [redacted: {rule}], keep it",
    }


@pytest.mark.parametrize(
    "text",
    [
        "sk-learn and task-force-one-two-three-four-five are words",
        "sk-some-long-name-in-kebab-case-without-digits",
        "the bearer of bad news internationalization",
        "eyJ is how they begin",
        "AKIA, ASIA and AIza are prefixes",
        "https://example.com/a?b=1&key=2&token=3&page_token=x#frag",
        "a ratio of 3:4@noon, see http://host:8080/path",
        '{"key": "up", "token": "tok", "tokens": 5, "total_tokens": "12", "session_id": "s-1", "primary_key": "7"}',
        "password: ask at the desk",
    ],
)
def test_what_only_looks_like_one_stays(text: str) -> None:
    assert masked({"v": text}) == {"v": text}


@pytest.mark.parametrize(
    "key",
    ["password", "DB_PASSWORD", "dbPassword", "X-Api-Key", "openai_api_key", "apiKey", "Authorization", "Set-Cookie",
     "client_secret", "secrets", "access_token", "refreshToken", "private key", "credentials", "pwd"],
)  # fmt: skip
def test_what_is_kept_under_the_name_of_a_secret_is_masked(key: str) -> None:
    found = masked({key: "hunter2", "deep": [{key: {"a": 1}}], "number": {key: 1234}})
    assert "hunter2" not in str(found)
    assert found[key]["$ftnb"] == found["deep"][0][key]["$ftnb"] == found["number"][key]["$ftnb"] == "redacted"


@pytest.mark.parametrize(
    "key",
    ["key", "token", "tokens", "max_tokens", "access_tokens", "total_tokens", "session_id", "secretary", "keyboard",
     "cookie_recipe", "primary_key", "next_page_token", "tokenizer", "password_length"],
)  # fmt: skip
def test_names_that_are_no_secrets_stay(key: str) -> None:
    assert masked({key: "v"}) == {key: "v"}


def test_what_holds_no_secret_under_such_a_name_stays() -> None:
    value = {"password": None, "api_key": "", "secret": True, "cookies": [], "credentials": {}}
    assert masked(value) == value


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('{"user": "ada", "password": "hun\\"ter2"}', '{"user": "ada", "password": "[redacted: key password]"}'),
        ("{'api_key': 'abc123', 'n': 1}", "{'api_key': '[redacted: key api_key]', 'n': 1}"),
        (r'{"args": "{\"password\": \"x y\"}"}', r'{"args": "{\"password\": \"[redacted: key password]\"}"}'),
        ("GET /v1?q=1&api_key=abc123&n=2", "GET /v1?q=1&api_key=[redacted: key api_key]&n=2"),
        ("A=1\nexport DB_PASSWORD=hunter2\nB=2", "A=1\nexport DB_PASSWORD=[redacted: key password]\nB=2"),
        ("Authorization: Bearer abcDEF0123456789xyz", "Authorization: Bearer [redacted: authorization header]"),
        ("postgresql://ada:hunter2@db:5432/x", "postgresql://ada:[redacted: password in a url]@db:5432/x"),
    ],
)
def test_only_the_secret_part_of_a_text_is_masked(text: str, left: str) -> None:
    assert masked({"v": text}) == {"v": left}


def test_secrets_in_keys_headers_bytes_sets_odd_keys_and_odd_text() -> None:
    secret = SHAPES["openai key"]
    found = masked(
        {
            secret: 1,
            "headers": [("Authorization", "hunter2"), ("Accept", "json")],
            "raw": f"x {secret}".encode(),
            "odd": {7: secret, "password": "hunter2"},
            "set": {secret},
            "half": f"\ud800{secret}",
        }
    )
    text = dumps(from_json(found)).decode()
    assert secret not in text
    assert "hunter2" not in text
    assert found["[redacted: openai key]"] == 1
    assert from_json(found)["headers"][1] == ("Accept", "json")


def test_a_json_schema_with_a_password_field_stays_a_schema() -> None:
    schema = {"type": "object", "properties": {"password": {"type": "string"}}, "required": ["password"]}
    assert masked({"tools": [schema]}) == {"tools": [schema]}


def test_what_a_channel_of_such_a_name_is_given_is_masked() -> None:
    found = Redaction().to_json([["password", "hunter2"], ["note", "hi"], ["branch:to:b"], "path"], "@writes")
    assert found == [
        ["password", {"$ftnb": "redacted", "why": "key password"}],
        ["note", "hi"],
        ["branch:to:b"],
        "path",
    ]


def test_secret_str_stays_masked() -> None:
    assert "hunter2" not in str(masked({"a": SecretStr("hunter2"), "password": SecretStr("hunter2")}))


def test_error_texts_and_names_stay_texts() -> None:
    rules = Redaction()
    secret = SHAPES["github token"]
    assert rules.to_json(secret, "error") == "[redacted: github token]"
    assert rules.text(secret) == "[redacted: github token]"
    assert rules.text("name\ud800") == "name\ud800"


odd = st.text("ab1-_:=\"'\\?&@/. ", max_size=40)
trees = st.recursive(st.none() | st.integers() | odd | st.floats(), lambda v: st.lists(v) | st.dictionaries(odd, v))


@given(trees)
def test_what_holds_no_secret_is_written_as_it_is(value: Any) -> None:
    assert dumps(from_json(masked({"v": value}))) == dumps({"v": value})


def test_plain_values_are_not_copied() -> None:
    value = {"messages": [{"role": "user", "content": "x" * 1000}]}
    rules = Redaction()
    assert rules.to_json(value, "@payload") is value
    assert rules.value(value, "@payload") is value


def test_the_value_that_was_given_is_not_changed() -> None:
    value = {"a": [{"password": "hunter2"}]}
    masked(value)
    assert value == {"a": [{"password": "hunter2"}]}


def test_a_long_text_that_was_clean_is_found_out_once_it_is_not() -> None:
    rules = Redaction()
    long = "a sentence of a page. " * 50_000
    assert rules.to_json({"v": long}, "@payload") == {"v": long}
    assert SHAPES["openai key"] not in str(rules.to_json({"v": long + SHAPES["openai key"]}, "@payload"))


# --- rules of one's own ---


def test_own_keys_patterns_and_function() -> None:
    seen: list[Any] = []

    def fn(path: Any, value: Any) -> Any:
        seen.append(path)
        return "…" if path[-1] == "diary" else value

    found = masked(
        {"patientId": "p-7", "note": "HN-123456 and HN-1", "diary": ["dear"], "messages": [{"content": "hi"}]},
        keys=["patient_id"],
        patterns={"house": r"\bHN-\d{6}\b", "who": re.compile(r"dear (?P<secret>\w+)")},
        fn=fn,
    )
    assert found == {
        "patientId": {"$ftnb": "redacted", "why": "key patient_id"},
        "note": "[redacted: house] and HN-1",
        "diary": "…",
        "messages": [{"content": "hi"}],
    }
    assert ("payload", "messages", 0, "content") in seen


def test_short_texts_are_searched_for_own_patterns() -> None:
    assert masked({"v": "N7"}, patterns=[r"N\d"]) == {"v": {"$ftnb": "redacted", "why": "pattern 1"}}


def test_only_own_rules() -> None:
    value = {"password": "x", "pin": "1"}
    assert masked(value, keys=["pin"], defaults=False) == {
        "password": "x",
        "pin": {"$ftnb": "redacted", "why": "key pin"},
    }


def test_a_function_that_raises_masks_the_value_keeps_the_rest_and_is_counted() -> None:
    def fn(path: Any, value: Any) -> Any:
        if path[-1] == "b":
            raise ValueError("no")
        return value

    rules = Redaction(fn=fn)
    assert rules.to_json({"a": 1, "b": 2}, "@payload") == {
        "a": 1,
        "b": {"$ftnb": "redacted", "why": "fn raised ValueError"},
    }
    assert rules.errors == {"fn raised ValueError": 1}
    assert "fn raised ValueError 1 times" in repr(rules)


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"patterns": {"house": "("}}, r"'house' is no regular expression: '\('"),
        ({"patterns": ["a*"]}, "'pattern 1' matches the empty text"),
        ({"patterns": "abc"}, r"write patterns=\['abc'\]"),
        ({"patterns": {"b": re.compile(b"x")}}, "must be a pattern for text"),
        ({"patterns": [7]}, "'pattern 1' is no regular expression: 7"),
        ({"keys": "password"}, r"write keys=\['password'\]"),
        ({"keys": [7]}, "keys takes names of keys as text, got 7"),
        ({"fn": 5}, "fn must be a function"),
    ],
)
def test_bad_rules_are_refused_by_name_and_change_nothing(rules: dict[str, Any], told: str) -> None:
    before = ftnb.redact()
    with pytest.raises(InvalidArgumentError, match=told):
        ftnb.redact(**rules)
    assert ftnb.redact() is before


# --- the process's policy ---


def test_listing_replacing_switching_off_and_back() -> None:
    first = ftnb.redact(keys=["pin"])
    assert first is not None
    assert ftnb.redact() is first
    assert "pin" in first.keys
    assert "openai key" in first.patterns
    second = ftnb.redact(keys=["iban"])
    assert second is not None
    assert "pin" not in second.keys
    assert ftnb.redact("off") is None
    assert ftnb.redact() is None
    assert ftnb.redact(first) is first
    with pytest.raises(InvalidArgumentError, match="'of'"):
        ftnb.redact("of")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="not both"):
        ftnb.redact("off", keys=["x"])


def test_counts_say_what_was_masked() -> None:
    rules = Redaction()
    rules.to_json({"password": "a", "v": [SHAPES["jwt"]] * 2}, "@payload")
    assert rules.counts == {"key password": 1, "jwt": 2}
    assert "jwt 2" in repr(rules)


def test_rules_can_change_while_others_write() -> None:
    failures: list[BaseException] = []
    done = threading.Event()

    def write() -> None:
        try:
            while not done.is_set():
                rules = module.active()
                assert rules is not None
                assert "hunter2" not in str(rules.to_json({"password": "hunter2", "v": ["x" * 300]}, "@payload"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(50):
        ftnb.redact(keys=[f"k{i}"])
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_masked_values_survive_being_read_and_written_again() -> None:
    found = masked({"password": "x"})
    read = from_json(found)
    assert read == found
    assert to_json(read) == found
    assert masked(read) == found
    assert repr(read["password"]) == "<redacted: why 'key password'>"
