// How the graph looks in a theme. Pure.

import type { EdgeSingular, NodeSingular, StylesheetJson } from "cytoscape";
import { statusLook } from "../status";
import { type ColorName, mix, type Theme } from "../theme";
import { makePictures, PICTURE_PROPERTIES, type Pictured } from "./pictures";

const STATUSES = ["completed", "running", "failed", "waiting", "cancelled", "skipped"];
/** How much of the full colour the largest value gets: the label must stay readable on it. */
const HEAT_MOST = 0.62;

export function graphStyle(theme: Theme): StylesheetJson {
  const { color } = theme;
  const faint = mix(color.muted, color.bg, 0.55);
  const line = mix(color.soft, color.bg, 0.75);
  const statuses = STATUSES.map((status) => {
    const own = color[statusLook(status).color.replace("--ftnb-", "") as ColorName] ?? color.muted;
    return {
      selector: `node.step.visited[status = "${status}"]`,
      style: {
        "border-color": own,
        "background-color": mix(own, color.bg, theme.dark ? 0.2 : 0.1),
        ...(status === "running" || status === "waiting" ? { "border-style": "dashed", "border-width": 2.2 } : {}),
      },
    };
  });
  const pictures = makePictures(theme);
  const sheet = [
    {
      selector: "node.step",
      style: {
        shape: "round-rectangle",
        width: "data(width)",
        height: "data(height)",
        label: "data(label)",
        "font-family": theme.font,
        "font-size": 13,
        "text-valign": "center",
        "text-halign": "center",
        "text-wrap": "ellipsis",
        "text-max-width": "data(room)",
        color: color.fg,
        "background-color": color.bg,
        "border-width": 1.5,
        "border-color": color.muted,
        "overlay-opacity": 0,
      },
    },
    { selector: "node.leaf.visited", style: { "font-weight": 500 } },
    { selector: "node.leaf.visited.rich", style: { "text-margin-x": 9 } },
    {
      selector: "node.group",
      style: { "text-valign": "top", "text-margin-y": 17, "background-opacity": 0.45, padding: "14px", "font-size": 11.5 },
    },
    { selector: "node.unvisited", style: { color: color.soft, "border-color": faint, "border-width": 1.2 } },
    { selector: "node.global", style: { shape: "cut-rectangle" } },
    { selector: "node.folded", style: { "border-width": 3, "border-style": "double", "text-margin-x": -2 } },
    { selector: "node.undeclared", style: { "border-style": "dashed" } },
    {
      selector: "node.start, node.end",
      style: {
        shape: "ellipse", width: 12, height: 12, "background-color": color.muted, "border-width": 0,
        "overlay-opacity": 0, events: "no",
      },
    },
    {
      selector: "node.end",
      style: { "background-color": color.bg, "border-width": 3.5, "border-style": "double", "border-color": color.muted },
    },
    ...statuses,
    ...sides(theme),
    ...heats(theme),
    { selector: "node.step.rich", style: Object.fromEntries(PICTURE_PROPERTIES.map((name) => [name, (node: NodeSingular) => pictures(pictured(node))[name]])) },
    { selector: "node.step.rich", style: { "bounds-expansion": 12 } },
    { selector: "node.goal", style: { "border-width": 2.4 } },
    { selector: "node.failing", style: { "border-width": 4, "border-style": "double", "border-color": color.failed } },
    {
      selector: "edge",
      style: {
        width: "data(weight)",
        "curve-style": "bezier",
        "line-color": line,
        "target-arrow-color": line,
        "target-arrow-shape": "triangle",
        "arrow-scale": 0.85,
        "overlay-opacity": 0,
      },
    },
    {
      selector: "edge.rich",
      style: {
        label: "data(label)",
        "font-family": theme.font,
        "font-size": 10.5,
        color: color.soft,
        "text-background-color": color.bg,
        "text-background-opacity": 0.9,
        "text-background-padding": "1px",
        "loop-direction": "-45deg",
        "loop-sweep": "60deg",
      },
    },
    // Thousands of them: no curves, and labels only where they could be read.
    { selector: "edge.plain", style: { "curve-style": "straight", width: 1.2, "arrow-scale": 0.7 } },
    { selector: "node.plain", style: { "min-zoomed-font-size": 7, "border-width": 2 } },
    { selector: "edge.level", style: { "text-margin-y": 10, "text-background-opacity": 0 } },
    { selector: "edge.upright", style: { "text-margin-x": (edge: EdgeSingular) => 6 + String(edge.data("label")).length * 3.2, "text-background-opacity": 0 } },
    {
      selector: "edge.bent",
      style: {
        "curve-style": "unbundled-bezier",
        "control-point-distances": "data(distances)",
        "control-point-weights": "data(weights)",
        "edge-distances": "node-position",
      },
    },
    {
      selector: "edge.untaken",
      style: {
        width: 1.2, "line-style": "dashed", "line-dash-pattern": [2, 4], "line-color": faint,
        "target-arrow-color": faint, "arrow-scale": 0.7, color: color.muted,
      },
    },
    {
      selector: "edge.taken.undeclared",
      style: {
        "line-style": "dashed", "line-dash-pattern": [7, 4], "line-color": color.failed, "target-arrow-color": color.failed,
        color: color.failed,
      },
    },
    {
      selector: "edge.fatal",
      style: { width: 3.2, "line-color": mix(color.failed, color.bg, 0.75), "target-arrow-color": mix(color.failed, color.bg, 0.75), "z-index": 4 },
    },
    ...edgeSides(theme),
    {
      selector: "edge.causal",
      style: { "line-color": color.selected, "target-arrow-color": color.selected, "z-index": 5 },
    },
    { selector: ".dim", style: { opacity: 0.22 } },
    { selector: ".rare", style: { display: "none" } },
    { selector: "node.hover", style: { "underlay-color": color.soft, "underlay-padding": 4, "underlay-opacity": 0.18 } },
    {
      selector: "node.chosen",
      style: { "underlay-color": color.selected, "underlay-padding": 5, "underlay-opacity": 0.5, "z-index": 9 },
    },
  ];
  // Cytoscape's types do not know every property that it draws (mixed dash patterns, data mappers in numbers).
  return sheet as unknown as StylesheetJson;
}

function pictured(node: NodeSingular): Pictured {
  return {
    status: node.data("status") as string,
    badge: node.data("badge") as string,
    note: node.data("note") as string,
    kind: node.hasClass("group") ? "group" : node.hasClass("folded") ? "folded" : "leaf",
    visited: node.hasClass("visited") && !node.hasClass("heat") && !node.hasClass("side"),
  };
}

/** Nodes and edges coloured by a value; a difference has two colours, and a line style for whoever cannot tell them. */
function heats({ color }: Theme): unknown[] {
  const shade = (element: NodeSingular) => {
    const heat = element.data("heat") as number;
    const full = heat < 0 ? color.done : element.hasClass("difference") ? color.failed : color.llm;
    return mix(full, color.bg, Math.sqrt(Math.abs(heat)) * HEAT_MOST + (heat ? 0.04 : 0));
  };
  return [
    { selector: "node.step.heat", style: { "background-color": shade, "border-color": color.soft, "border-style": "solid", "border-width": 1.5, "text-margin-x": 0 } },
  ];
}

/** Two runs: which of them came here. */
function sides({ color }: Theme): unknown[] {
  const soft = (own: string) => mix(own, color.bg, 0.2);
  return [
    { selector: "node.step.side", style: { "text-margin-x": 0 } },
    { selector: "node.step.side.both", style: { "border-color": color.soft, "border-width": 2, "background-color": color.panel } },
    { selector: "node.step.side.first", style: { "border-color": color.done, "border-width": 2.6, "background-color": soft(color.done) } },
    { selector: "node.step.side.second", style: { "border-color": color.switch, "border-width": 2.6, "border-style": "dashed", "background-color": soft(color.switch) } },
  ];
}

function edgeSides({ color }: Theme): unknown[] {
  const heat = (element: NodeSingular) => {
    const value = element.data("heat") as number;
    const full = value < 0 ? color.done : element.hasClass("difference") ? color.failed : color.soft;
    return mix(full, color.bg, 0.35 + 0.65 * Math.sqrt(Math.abs(value)));
  };
  return [
    { selector: "edge.first", style: { "line-color": color.done, "target-arrow-color": color.done, color: color.done } },
    { selector: "edge.second", style: { "line-color": color.switch, "target-arrow-color": color.switch, color: color.switch, "line-style": "dashed", "line-dash-pattern": [7, 4] } },
    { selector: "edge.heat", style: { "line-color": heat, "target-arrow-color": heat } },
    { selector: "edge.less", style: { "line-style": "dashed", "line-dash-pattern": [7, 4] } },
  ];
}
