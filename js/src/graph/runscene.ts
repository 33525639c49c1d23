// One run as a scene: what was declared, what was done, and how it went, now or as of a moment. Pure.

import { plural } from "../format";
import { type Moment } from "../playback";
import type { Run } from "../run";
import { statusLook } from "../status";
import { type GraphState, type Measured, type Metric, METRIC_WORDS, shares, valueOf, writeValue } from "./metrics";
import { clip, type LegendItem, type Scene, type SceneEdge, type SceneNode, weightOf } from "./scene";

/** `moment` null: the whole run. */
export function sceneOfRun(run: Run, state: Pick<GraphState, "color" | "size">, moment: Moment | null = null): Scene {
  const { payload } = run;
  return {
    key: shapeOf(run),
    title: `Workflow graph of ${payload.engagement.name}: ${plural(payload.nodes.length, "node")}. Arrow keys move along the steps.`,
    nodes: nodesOf(run, state, moment),
    edges: edgesOf(run, moment),
    layout: payload.layout,
    legend: legendOf(run, state, moment),
  };
}

const SHAPES = new WeakMap<object, string>();

function shapeOf({ payload }: Run): string {
  const known = SHAPES.get(payload.layout);
  if (known) return known;
  const shape = JSON.stringify([payload.layout.across.nodes, payload.nodes.map((node) => node.name), payload.edges.map((edge) => [edge.source, edge.target])]);
  SHAPES.set(payload.layout, shape);
  return shape;
}

function nodesOf(run: Run, state: Pick<GraphState, "color" | "size">, moment: Moment | null): SceneNode[] {
  const { nodes } = run.payload;
  const isParent = new Set(nodes.map((node) => node.parent));
  // As of a moment, the values grow towards those of the whole run.
  const measured = nodes.map((node, index): Measured => {
    const then = moment?.nodes[index];
    return then ? { ...then, kind: node.kind, n_visits: then.visits, n_steps: then.steps } : node;
  });
  const sharesOf = (metric: Metric) => shares(measured.map((one) => valueOf(one, metric)), nodes.map((one) => valueOf(one, metric)));
  const heats = state.color ? sharesOf(state.color) : null;
  const sizes = state.size ? sharesOf(state.size) : null;
  const metric = state.color ?? state.size;
  return nodes.map((node, index): SceneNode => {
    const then = moment?.nodes[index];
    const [visits, steps] = then ? [then.visits, then.steps] : [node.n_visits, node.n_steps];
    const failing = then ? then.failing : node.n_failing;
    const status = (then ? then.status : node.status) ?? "none";
    const value = metric ? valueOf(measured[index] ?? node, metric) : null;
    const retries = steps - visits;
    return {
      label: node.label,
      parent: node.parent,
      status,
      // Attempts beyond the first of a visit have a sign of their own.
      badge: node.kind !== "step" ? "" : `${visits > 1 ? `×${visits}` : ""}${retries > 0 ? `↻${retries}` : ""}`,
      note: metric && value !== null ? writeValue(value, metric) : "",
      heat: heats?.[index] ?? null,
      size: node.kind === "step" && sizes && !isParent.has(index) ? (sizes[index] ?? 0) : null,
      classes: [
        node.kind,
        steps ? "visited" : "unvisited",
        node.is_global && "global",
        node.is_goal && "goal",
        !node.declared && "undeclared",
        failing > 0 && "failing",
        run.switched.has(index) && "switched",
      ].filter((one): one is string => Boolean(one)),
      text: then && node.kind === "step" ? `${node.name}\n${then.steps ? `${statusLook(status).word}, ${plural(visits, "visit")} so far` : "not yet"}` : run.describeNode(index),
    };
  });
}

function edgesOf(run: Run, moment: Moment | null): SceneEdge[] {
  const { nodes, edges } = run.payload;
  return edges.map((edge, index): SceneEdge => {
    const taken = moment ? (moment.taken[index] ?? 0) : edge.taken;
    const condition = edge.condition !== null && edge.condition !== nodes[edge.target]?.name ? edge.condition : "";
    const visits = moment ? moment.nodes[edge.target]?.visits : nodes[edge.target]?.n_visits;
    return {
      source: edge.source,
      target: edge.target,
      // The badge of the target says it already, where all its visits came this way.
      label: [taken > 1 && taken !== visits ? `×${taken}` : "", clip(condition)].filter(Boolean).join(" "),
      weight: weightOf(taken),
      heat: null,
      classes: [
        taken ? "taken" : "untaken",
        !edge.declared && "undeclared",
        taken > 0 && run.failedWay.has(index) && "fatal",
      ].filter((one): one is string => Boolean(one)),
      text: run.describeEdge(index),
    };
  });
}

function legendOf(run: Run, state: Pick<GraphState, "color" | "size">, moment: Moment | null): LegendItem[] {
  const { edges, nodes, has_topology } = run.payload;
  const items: Array<LegendItem | false> = [
    edges.some((e) => e.taken) && edges.some((e) => !e.taken) && { sign: "taken", text: "taken" },
    has_topology && edges.some((e) => !e.taken) && { sign: "untaken", text: moment ? "not taken yet" : "declared, not taken" },
    edges.some((e) => e.taken && !e.declared) && { sign: "undeclared", text: "taken, not declared" },
    run.failedWay.size > 0 && { sign: "fatal", text: "way to the failure" },
    nodes.some((n) => n.is_global) && { sign: "global", text: "global step" },
    state.color !== null && { sign: "heat", text: `${METRIC_WORDS[state.color]}: light less, dark more` },
    state.size !== null && { sign: null, text: `taller: more ${METRIC_WORDS[state.size]}` },
  ];
  return items.filter((one): one is LegendItem => one !== false);
}
