"""Language models behind one small contract: messages in, text and token counts out.

A workflow calls `acomplete` on whatever client it was given, so any provider or SDK can be plugged in. Two clients come
with the package: `LiteLLMClient` (a hundred providers from one configuration) and `LangChainClient` (any LangChain chat
model; a workflow wraps one by itself). Neither library is imported before one is used.
"""

from __future__ import annotations

from ._langchain import LangChainClient, as_client
from ._litellm import LiteLLMClient
from ._types import LLMClient, LLMResult, Messages, ToolRequest

__all__ = ["LLMClient", "LLMResult", "LangChainClient", "LiteLLMClient", "Messages", "ToolRequest", "as_client"]
