"""What OpenAI's and Anthropic's SDKs have in common: one base client, through which every request goes.

Three of its methods are taken, for sync and async each: `request` sees a call begin, fail and end; `_process_response`
sees the HTTP response, before anybody has made something of it; `_sleep_for_retry` sees each failed attempt. Resources,
helpers, raw responses, subclasses and clients made earlier all go that way.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..core._call_scope import CALL
from ..langgraph_adapter import _place
from . import _replied
from ._call import Call
from ._patch import AttributePatch, Patch, Switch
from ._tee import tee
from ._wire import Api

Provider = Callable[[Any], str]


def patches(base_client: Any, apis: Mapping[str, Api], provider: Provider, switch: Switch) -> list[Patch]:
    """The places to take in an SDK's module `_base_client`. `apis` by the path of their requests."""

    def begin(client: Any, args: Any, kwargs: Any) -> Call | None:
        return _begin(client, args, kwargs, apis, provider) if switch.is_on else None

    found: list[Patch] = []
    for name, is_async in (("SyncAPIClient", False), ("AsyncAPIClient", True)):
        owner = getattr(base_client, name)
        for kind in (owner, *_wrapped_in(owner)):
            found.append(AttributePatch(kind, "request", _async_request(begin) if is_async else _request(begin)))
        found.append(AttributePatch(owner, "_process_response", _process_response))
        if "_sleep_for_retry" in vars(owner):
            found.append(AttributePatch(owner, "_sleep_for_retry", _sleep_for_retry))
    return found


def _wrapped_in(owner: Any) -> list[Any]:
    """Classes of the SDK in which somebody has wrapped the method that they inherit, as OpenInference does: what is
    wrapped there goes past its place in `owner`. Seen at both, a call is one."""
    found, todo = [], list(owner.__subclasses__())
    while todo:
        kind = todo.pop()
        todo += kind.__subclasses__()
        if "request" in vars(kind) and kind.__module__.partition(".")[0] == owner.__module__.partition(".")[0]:
            found.append(kind)
    return found


def _begin(client: Any, args: Any, kwargs: Any, apis: Mapping[str, Api], provider: Provider) -> Call | None:
    """The call that a request is; None: none that is recorded. Never raises."""
    try:
        options = args[1] if len(args) > 1 else kwargs.get("options")
        api = apis.get(options.url.partition("?")[0])
        if api is None or options.method.lower() != "post":
            return None
        given = options.json_data
        around = CALL.get()
        if type(around) is Call and around.given is given and around.owner is client and around.is_open:
            return None  # seen already, at the place of somebody else's wrapper
        given = given if isinstance(given, Mapping) else {}
        model = given.get("model")
        call = Call(api, provider(client), model if isinstance(model, str) else None, given, client)
        return call if call.begin() else None
    except Exception as error:
        count(error)
        return None


def count(error: Exception) -> None:
    """Something of ours went wrong before a call was begun: its recorder counts it."""
    target = _place.target()
    if target is not None:
        target.drop("capture of an SDK", error)


def _request(begin: Callable[[Any, Any, Any], Call | None]) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        def request(self: Any, *args: Any, **kwargs: Any) -> Any:
            call = begin(self, args, kwargs)
            if call is None:
                return original(self, *args, **kwargs)
            token = CALL.set(call)
            try:
                if call.answers is None:
                    result = original(self, *args, **kwargs)
                else:
                    result = _answered(original, self, call, args, kwargs)
            except BaseException as error:
                call.failed(error)
                raise
            finally:
                CALL.reset(token)
            _returned(call, result)
            return result

        return request

    return make


def _async_request(begin: Callable[[Any, Any, Any], Call | None]) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        async def request(self: Any, *args: Any, **kwargs: Any) -> Any:
            call = begin(self, args, kwargs)
            if call is None:
                return await original(self, *args, **kwargs)
            token = CALL.set(call)
            try:
                if call.answers is None:
                    result = await original(self, *args, **kwargs)
                else:
                    result = await _aanswered(original, self, call, args, kwargs)
            except BaseException as error:
                call.failed(error)
                raise
            finally:
                CALL.reset(token)
            _returned(call, result)
            return result

        return request

    return make


# --- while a replay runs ---


def _answered(original: Any, client: Any, call: Call, args: Any, kwargs: Any) -> Any:
    args, kwargs = _with_model(client, call, args, kwargs)
    options = client._prepare_options(_replied.copy_of(client, _options(args, kwargs)))
    made = _replied.prepared(client, call, options, client._build_request(options, retries_taken=0), args, kwargs)
    given = call.ask()
    if given is None:
        return original(client, *args, **kwargs)
    response = _replied.response_of(client, call, made, given, is_async=False)
    return client._process_response(options=options, response=response, retries_taken=0, **made.more)


async def _aanswered(original: Any, client: Any, call: Call, args: Any, kwargs: Any) -> Any:
    args, kwargs = _with_model(client, call, args, kwargs)
    copied = _replied.copy_of(client, _options(args, kwargs))
    options = await client._prepare_options(await copied if inspect.isawaitable(copied) else copied)
    made = _replied.prepared(client, call, options, client._build_request(options, retries_taken=0), args, kwargs)
    given = call.ask()
    if given is None:
        return await original(client, *args, **kwargs)
    response = _replied.response_of(client, call, made, given, is_async=True)
    return await client._process_response(options=options, response=response, retries_taken=0, **made.more)


def _options(args: Any, kwargs: Any) -> Any:
    return args[1] if len(args) > 1 else kwargs["options"]


def _with_model(client: Any, call: Call, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The arguments of a request, for the model that the replay wants."""
    name, options = call.instead(), _options(args, kwargs)
    if name is None or not isinstance(options.json_data, Mapping):
        return args, kwargs
    options = options.model_copy()
    options.json_data = {**options.json_data, "model": name}
    return (args[0] if args else kwargs["cast_to"], options), {
        key: value for key, value in kwargs.items() if key not in ("cast_to", "options")
    }


def _returned(call: Call, result: Any) -> None:
    if call.is_stream:
        return  # it ends with its stream
    if call.body is None:
        call.body = result  # no HTTP response was seen: a middleware answered
    call.over()


def _process_response(original: Any) -> Any:
    def process_response(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = CALL.get()
        if type(call) is Call and call.owner is self:
            try:
                _took(call, kwargs["response"], kwargs.get("retries_taken", 0))
            except Exception as error:
                call.drop("the response", error)
        return original(self, *args, **kwargs)

    return process_response


def _took(call: Call, response: Any, n_retries: int) -> None:
    """An HTTP response has come, read to its end or not."""
    call.attempts = n_retries
    call.status = response.status_code
    call.base_url = call.owner._base_url
    call.request = response.request.content
    if "_content" in vars(response):
        call.body = response.content
    else:
        call.is_stream = tee(response, call)


def _sleep_for_retry(original: Any) -> Any:
    def sleep_for_retry(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = CALL.get()
        if type(call) is Call and call.owner is self:
            response = kwargs.get("response")
            call.causes.append("no response" if response is None else response.status_code)
        return original(self, *args, **kwargs)

    return sleep_for_retry
