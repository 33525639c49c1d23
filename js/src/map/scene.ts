// Many engagements as a scene: nodes and edges coloured and labelled by one of their numbers, or by a difference. Pure.

import { count, duration, plural } from "../format";
import { money, short } from "../graph/metrics";
import { clip, type LegendItem, type Scene, type SceneEdge, type SceneNode } from "../graph/scene";
import type { MapNumbers, ProcessMapPayload } from "../protocol.gen";

export type Measure = "engagements" | "times" | "duration" | "dropped" | "tokens" | "cost";
export const MEASURES: readonly Measure[] = ["engagements", "times", "duration", "dropped", "tokens", "cost"];
export const MEASURE_WORDS: Record<Measure, string> = {
  engagements: "engagements", times: "times", duration: "median duration", dropped: "drop-offs", tokens: "tokens", cost: "cost",
};

/** A group by its place, or what the second has more than the first. */
export type Shown = 0 | 1 | "difference";

/** The number to show; engagements, drop-offs, tokens and cost as a share of, or mean over, the engagements when groups are compared. */
export function measure(payload: ProcessMapPayload, numbers: readonly MapNumbers[], by: Measure, shown: Shown): number | null {
  if (shown !== "difference") return raw(numbers[shown], by);
  const [a, b] = [0, 1].map((side) => rate(payload, numbers, by, side));
  return a === null || b === null || a === undefined || b === undefined ? null : b - a;
}

function raw(numbers: MapNumbers | undefined, by: Measure): number | null {
  if (!numbers || !numbers.n) return null;
  return { engagements: numbers.n_engagements, times: numbers.n, duration: numbers.duration_ms, dropped: numbers.n_dropped, tokens: numbers.total_tokens, cost: numbers.cost }[by];
}

/** Groups differ in size: what adds up is put over the number of engagements. */
function rate(payload: ProcessMapPayload, numbers: readonly MapNumbers[], by: Measure, side: number): number | null {
  const value = raw(numbers[side], by);
  if (by === "duration") return value;
  return (value ?? 0) / Math.max(payload.groups[side]?.n_engagements ?? 1, 1);
}

export function writeMeasure(value: number, by: Measure, shown: Shown, currency = ""): string {
  const sign = shown === "difference" ? (value > 0 ? "+" : value < 0 ? "−" : "±") : "";
  const size = shown === "difference" ? Math.abs(value) : value;
  if (by === "duration") return `${sign}${duration(size)}`;
  if (by === "cost") return `${sign}${money(size)}${currency ? ` ${currency}` : ""}`;
  if (shown === "difference" && (by === "engagements" || by === "dropped")) return `${sign}${(100 * size).toFixed(size < 0.095 && size > 0 ? 1 : 0)} pp`;
  return shown === "difference" ? `${sign}${size < 10 ? size.toFixed(2) : short(size)}` : short(size);
}

/** Measures in which this map has anything to show. */
export function measuresOf(payload: ProcessMapPayload): Measure[] {
  const all = [...payload.nodes, ...payload.edges].flatMap((one) => one.numbers);
  return MEASURES.filter((by) => all.some((numbers) => (raw(numbers, by) ?? 0) > 0));
}

export function sceneOfMap(payload: ProcessMapPayload, by: Measure, shown: Shown): Scene {
  const values = payload.nodes.map((node) => (node.kind === "step" ? measure(payload, node.numbers, by, shown) : null));
  const edgeValues = payload.edges.map((edge) => measure(payload, edge.numbers, by, shown));
  const [heats, edgeHeats] = [scaled(values), scaled(edgeValues)];
  return {
    key: `map ${payload.nodes.length} ${payload.edges.length} ${JSON.stringify(payload.layout.across.nodes)}`,
    title: `Process map: ${plural(payload.nodes.length, "node")}, ${plural(payload.edges.length, "edge")}`,
    nodes: payload.nodes.map((node, index): SceneNode => ({
      label: node.label,
      parent: node.parent,
      status: "none",
      badge: "",
      note: node.kind === "step" && values[index] !== null ? writeMeasure(values[index] ?? 0, by, shown) : "",
      heat: node.kind === "step" ? (heats[index] ?? 0) : null,
      size: null,
      classes: [node.kind, "visited", shown === "difference" ? "difference" : "", node.is_global ? "global" : "", node.is_goal ? "goal" : ""].filter(Boolean),
      text: `${node.name}\n${describe(payload, node.numbers, "visits")}`,
    })),
    edges: payload.edges.map((edge, index): SceneEdge => {
      const value = edgeValues[index] ?? null;
      const name = (at: number) => payload.nodes[at]?.name || payload.nodes[at]?.kind || "?";
      return {
        source: edge.source,
        target: edge.target,
        label: value === null ? "" : clip(writeMeasure(value, by, shown)),
        weight: 1.2 + 4.3 * Math.sqrt(Math.abs(edgeHeats[index] ?? 0)),
        heat: edgeHeats[index] ?? 0,
        classes: ["taken", shown === "difference" ? "difference" : "", shown === "difference" && (value ?? 0) < 0 ? "less" : ""].filter(Boolean),
        text: `${name(edge.source)} → ${name(edge.target)}\n${describe(payload, edge.numbers, "times")}`,
      };
    }),
    layout: payload.layout,
    legend: legendOf(payload, by, shown),
  };
}

/** −1 … 1 by the largest size; null becomes 0. */
function scaled(values: ReadonlyArray<number | null>): number[] {
  const most = values.reduce<number>((a, b) => Math.max(a, Math.abs(b ?? 0)), 0);
  return values.map((value) => (most > 0 ? (value ?? 0) / most : 0));
}

/** Edges that fewer of the engagements took, of every group, than `share` (0 … 1). */
export function rareEdges(payload: ProcessMapPayload, share: number): Set<number> {
  const rare = new Set<number>();
  payload.edges.forEach((edge, index) => {
    const most = Math.max(...edge.numbers.map((numbers, side) => numbers.n_engagements / Math.max(payload.groups[side]?.n_engagements ?? 1, 1)));
    if (most < share) rare.add(index);
  });
  return rare;
}

/** All numbers of a node or an edge, by line: what, and its value in each group and the difference. */
export function factsOf(payload: ProcessMapPayload, numbers: readonly MapNumbers[]): string[][] {
  return measuresOf(payload).map((by) => {
    const values = payload.groups.map((_, side) => raw(numbers[side], by));
    const line = [MEASURE_WORDS[by], ...values.map((value) => (value === null ? "–" : write(value, by, payload.currency)))];
    if (payload.groups.length < 2) return line;
    const difference = measure(payload, numbers, by, "difference");
    return [...line, difference === null ? "" : writeMeasure(difference, by, "difference", payload.currency)];
  });
}

function write(value: number, by: Measure, currency: string): string {
  return by === "duration" || by === "cost" ? writeMeasure(value, by, 0, currency) : count(value);
}

function describe(payload: ProcessMapPayload, numbers: readonly MapNumbers[], times: string): string {
  return payload.groups
    .map((group, side) => {
      const own = numbers[side];
      const dropped = own?.n_dropped ? `, ${count(own.n_dropped)} dropped` : "";
      const took = own?.duration_ms === null || own?.duration_ms === undefined ? "" : `, median ${duration(own.duration_ms)}`;
      return `${group.name}: ${count(own?.n_engagements ?? 0)} of ${count(group.n_engagements)} engagements, ${count(own?.n ?? 0)} ${times}${took}${dropped}`;
    })
    .join("\n");
}

function legendOf(payload: ProcessMapPayload, by: Measure, shown: Shown): LegendItem[] {
  const [first, second] = payload.groups.map((group) => group.name);
  if (shown === "difference") return [{ sign: "difference", text: `more in ${first} · more in ${second}` }, { sign: null, text: by === "duration" ? MEASURE_WORDS[by] : by === "engagements" ? "share of engagements" : `${MEASURE_WORDS[by]} per engagement` }];
  return [{ sign: "heat", text: `${MEASURE_WORDS[by]}${payload.groups.length > 1 ? ` of ${payload.groups[shown]?.name}` : ""}: light less, dark more` }];
}
