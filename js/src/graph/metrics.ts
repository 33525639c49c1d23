// By what nodes are coloured and sized, and how that is written. Pure.

import { count, duration } from "../format";
import type { Node } from "../protocol.gen";

export type Metric = "duration" | "tokens" | "cost" | "visits";
export const METRICS: readonly Metric[] = ["duration", "tokens", "cost", "visits"];

export interface GraphState {
  color: Metric | null;
  size: Metric | null;
  /** Names of the subgraphs that are folded; null: as the graph thinks best. */
  folded: string[] | null;
}

export const METRIC_WORDS: Record<Metric, string> = { duration: "duration", tokens: "tokens", cost: "cost", visits: "visits" };

export type Measured = Pick<Node, "duration_ms" | "total_tokens" | "cost" | "n_visits" | "n_steps" | "kind">;

export function valueOf(node: Measured, metric: Metric): number | null {
  if (node.kind !== "step" || !node.n_steps) return null;
  if (metric === "duration") return node.duration_ms;
  if (metric === "tokens") return node.total_tokens;
  return metric === "cost" ? node.cost : node.n_visits;
}

export function writeValue(value: number, metric: Metric): string {
  if (metric === "duration") return duration(value);
  if (metric === "cost") return money(value);
  return metric === "visits" ? `×${count(value)}` : short(value);
}

/** Metrics in which nodes of this graph differ from nothing. */
export function metricsOf(nodes: readonly Node[]): Metric[] {
  return METRICS.filter((metric) => nodes.some((node) => (valueOf(node, metric) ?? 0) > 0));
}

/** Each value as a share of the largest of `among`, 0 … 1; null stays null. */
export function shares(values: ReadonlyArray<number | null>, among = values): Array<number | null> {
  const most = among.reduce<number>((a, b) => Math.max(a, b ?? 0), 0);
  return values.map((value) => (value === null ? null : most > 0 ? Math.max(value, 0) / most : 0));
}

/** "0.0042", "1.25", "310": without a currency, which only the caller knows. */
export function money(value: number): string {
  if (value === 0) return "0";
  if (Math.abs(value) < 0.01) return value.toPrecision(2);
  return Math.abs(value) < 100 ? value.toFixed(2) : count(value);
}

/** "950", "1.2k", "3.4M" */
export function short(value: number): string {
  const [size, unit] = Math.abs(value) >= 1e6 ? [1e6, "M"] : Math.abs(value) >= 1e3 ? [1e3, "k"] : [1, ""];
  const scaled = value / size;
  return `${unit && Math.abs(scaled) < 100 ? scaled.toFixed(1).replace(/\.0$/, "") : Math.round(scaled)}${unit}`;
}
