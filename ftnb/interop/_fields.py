"""Which attributes of spans are understood, for the report of what was kept."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from ._report import Report, Told

_KNOWN: tuple[tuple[str, str], ...] = (
    ("openinference.span.kind", "step, llm_call or tool_call"),
    ("traceloop.span.kind", "step, llm_call or tool_call"),
    ("llm.request.type", "step, llm_call or tool_call"),
    ("gen_ai.operation.name", "step, llm_call or tool_call"),
    ("gen_ai.conversation.id", "engagement, metadata.session_id"),
    ("session.id", "engagement, metadata.session_id"),
    ("user.id", "metadata.user_id"),
    ("metadata", "metadata"),
    ("tag.tags", "metadata.tags"),
    ("graph.node.id", "steps.name"),
    ("graph.node.name", "steps.name"),
    ("graph.node.parent_id", "steps.triggers"),
    ("gen_ai.agent.name", "steps.name"),
    ("agent.name", "steps.name"),
    ("gen_ai.workflow.name", "engagements.name"),
    ("traceloop.entity.name", "steps.name"),
    ("traceloop.entity.input", "step input"),
    ("traceloop.entity.output", "step output"),
    ("gen_ai.tool.name", "events.name"),
    ("tool.name", "events.name"),
    ("gen_ai.tool.definitions", "payload.parameters.tools"),
    ("gen_ai.tool.call.id", "payload.call_id"),
    ("tool_call.id", "payload.call_id"),
    ("tool.id", "payload.call_id"),
    ("gen_ai.tool.call.arguments", "payload.args"),
    ("tool_arguments", "payload.args"),
    ("gen_ai.tool.call.result", "payload.result"),
    ("tool_response", "payload.result"),
    ("gen_ai.usage.", "events.*_tokens"),
    ("llm.token_count.", "events.*_tokens"),
    ("llm.usage.", "events.*_tokens"),
    ("gen_ai.request.model", "events.model"),
    ("gen_ai.request.", "payload.parameters"),
    ("gen_ai.response.model", "events.model"),
    ("gen_ai.response.finish_reasons", "payload.response"),
    ("llm.finish_reason", "payload.response"),
    ("gen_ai.response.time_to_first_chunk", "events.ttft_ms"),
    ("gen_ai.server.time_to_first_token", "events.ttft_ms"),
    ("llm.model_name", "events.model"),
    ("embedding.model_name", "events.model"),
    ("gen_ai.provider.name", "payload.provider"),
    ("gen_ai.system_instructions", "payload.messages"),
    ("gen_ai.system", "payload.provider"),
    ("llm.provider", "payload.provider"),
    ("llm.system", "payload.provider"),
    ("llm.invocation_parameters", "payload.parameters"),
    ("llm.tools", "payload.parameters.tools"),
    ("llm.input_messages", "payload.messages"),
    ("llm.output_messages", "payload.response"),
    ("llm.prompts", "payload.messages"),
    ("embedding.embeddings", "payload.messages"),
    ("gen_ai.input.messages", "payload.messages"),
    ("gen_ai.output.messages", "payload.response"),
    ("gen_ai.prompt", "payload.messages"),
    ("gen_ai.completion", "payload.response"),
    ("all_messages_events", "payload.messages"),
    ("events", "payload.messages"),
    ("final_result", "step output"),
    ("input.value", "step input, payload"),
    ("output.value", "step output, payload"),
    ("input.mime_type", "(how a value is written)"),
    ("output.mime_type", "(how a value is written)"),
    ("retrieval.documents", "payload.documents"),
    ("reranker.output_documents", "payload.documents"),
    ("reranker.query", "payload.query"),
    ("gen_ai.retrieval.query.text", "payload.query"),
    ("smolagents.tools_names", "steps.tools_available"),
    ("error.type", "error_type"),
    ("ftnb.", "(as it was)"),
    ("langfuse.observation.type", "step, llm_call or tool_call"),
    ("langfuse.observation.input", "step input, payload"),
    ("langfuse.observation.output", "step output, payload"),
    ("langfuse.observation.model.name", "events.model"),
    ("langfuse.observation.model.parameters", "payload.parameters"),
    ("langfuse.observation.usage_details", "events.*_tokens"),
    ("langfuse.observation.level", "status"),
    ("langfuse.observation.status_message", "error"),
    ("langfuse.trace.metadata", "metadata"),
    ("langfuse.trace.tags", "metadata.tags"),
    ("langfuse.internal.", "(theirs alone)"),
    ("mlflow.spanType", "step, llm_call or tool_call"),
    ("mlflow.spanInputs", "step input, payload"),
    ("mlflow.spanOutputs", "step output, payload"),
    ("mlflow.chat.tokenUsage", "events.*_tokens"),
    ("mlflow.llm.model", "events.model"),
    ("mlflow.llm.provider", "payload.provider"),
    ("mlflow.trace.session", "engagement, metadata.session_id"),
    ("mlflow.trace.user", "metadata.user_id"),
    ("mlflow.traceRequestId", "(theirs alone)"),
    ("mlflow.spanFunctionName", "(name)"),
)
_DIGITS = re.compile(r"\.\d+(?=\.|$)")
_MAX_KEYS = 50_000


@lru_cache(_MAX_KEYS)
def _place(key: str) -> Told:
    """What the report says of an attribute."""
    name = _DIGITS.sub(".N", key)
    for known, to in _KNOWN:
        if key == known or key.startswith(known if known.endswith(".") else f"{known}."):
            return "mapped", name, to
    return "left out", name, "no place for it here"


def count(keys: Iterable[str], report: Report) -> None:
    """Count the attributes of one span."""
    report.add_all(map(_place, keys))
