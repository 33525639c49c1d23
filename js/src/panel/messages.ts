// Recognising conversations in recorded values. Pure.

import { isObject, markerOf } from "./markers";

export interface ToolCall {
  name: string;
  args: unknown;
}

export interface Message {
  role: string;
  /** A name beside the role: which tool, which agent. */
  name: string | null;
  /** Text, a list of parts, or a marker of a text that was cut. */
  content: unknown;
  toolCalls: ToolCall[];
}

/** An item of a conversation: a message, or a marker that says what was left out. */
export type ChatItem = { message: Message } | { marker: Record<string, unknown> };

const ROLES: Record<string, string> = {
  human: "user", user: "user", HumanMessage: "user", HumanMessageChunk: "user",
  ai: "assistant", assistant: "assistant", AIMessage: "assistant", AIMessageChunk: "assistant", model: "assistant",
  system: "system", developer: "system", SystemMessage: "system",
  tool: "tool", function: "tool", ToolMessage: "tool", FunctionMessage: "tool",
  chat: "chat", ChatMessage: "chat",
};

const roleOf = (word: unknown): string | null =>
  typeof word === "string" && Object.hasOwn(ROLES, word) ? (ROLES[word] ?? null) : null;

/** The conversation that `value` is; null when it is none. */
export function asChat(value: unknown): ChatItem[] | null {
  const items = listOf(value);
  if (!items?.length) return null;
  const chat: ChatItem[] = [];
  for (const item of items) {
    const message = asMessage(item);
    if (message) chat.push({ message });
    else if (markerOf(item) === "cut" || markerOf(item) === "ref") chat.push({ marker: item as Record<string, unknown> });
    else return null;
  }
  return chat.some((item) => "message" in item) ? chat : null;
}

/** The message that `value` is, in any of the shapes that agents use; null when it is none. */
export function asMessage(value: unknown): Message | null {
  const pair = markerOf(value) === "tuple" ? listOf(value) : null;
  if (pair?.length === 2 && roleOf(pair[0]) && typeof pair[1] === "string") {
    return { role: roleOf(pair[0]) ?? "user", name: null, content: pair[1], toolCalls: [] };
  }
  if (!isObject(value)) return null;
  if (markerOf(value) === "object") return fromFields(value.data, value.type);
  // LangChain's serialised form
  if (value.lc === 1 && isObject(value.kwargs)) return fromFields(value.kwargs, listOf(value.id)?.at(-1));
  if (isObject(value.data) && roleOf(value.type)) return fromFields(value.data, value.type);
  return markerOf(value) === null ? fromFields(value, undefined) : null;
}

function fromFields(fields: unknown, type: unknown): Message | null {
  if (!isObject(fields) || !("content" in fields || "tool_calls" in fields)) return null;
  const role = roleOf(fields.role) ?? roleOf(type) ?? roleOf(fields.type);
  if (!role) return null;
  const calls = listOf(fields.tool_calls) ?? [];
  return {
    role: role === "chat" && typeof fields.role === "string" ? fields.role : role,
    name: typeof fields.name === "string" && fields.name ? fields.name : null,
    content: fields.content ?? "",
    toolCalls: calls.flatMap((call) => asToolCall(call) ?? []),
  };
}

function asToolCall(value: unknown): ToolCall | null {
  const call = markerOf(value) === "object" && isObject(value) ? value.data : value;
  if (!isObject(call)) return null;
  const own = isObject(call.function) ? call.function : call;
  return typeof own.name === "string" ? { name: own.name, args: own.args ?? own.arguments ?? null } : null;
}

function listOf(value: unknown): unknown[] | null {
  if (Array.isArray(value)) return value;
  return isObject(value) && markerOf(value) === "tuple" && Array.isArray(value.items) ? value.items : null;
}
