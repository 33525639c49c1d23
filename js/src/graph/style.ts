// How the graph looks in a theme. Pure.

import type { StylesheetJson } from "cytoscape";
import { statusLook } from "../status";
import { type ColorName, mix, type Theme } from "../theme";

const STATUSES = ["completed", "running", "failed", "waiting", "cancelled", "skipped"];

export function graphStyle(theme: Theme): StylesheetJson {
  const { color } = theme;
  const faint = mix(color.muted, color.bg, 0.55);
  const statuses = STATUSES.flatMap((status) => {
    const look = statusLook(status);
    const own = color[look.color.replace("--ftnb-", "") as ColorName] ?? color.muted;
    return [
      {
        selector: `node.step.visited[status = "${status}"]`,
        style: { "border-color": own, "background-color": mix(own, color.bg, theme.dark ? 0.2 : 0.1) },
      },
      {
        selector: `node.step.leaf.visited[status = "${status}"]`,
        style: {
          "background-image": iconUri(look.path, own),
          "background-width": "13px",
          "background-height": "13px",
          "background-position-x": "7px",
          "background-position-y": "50%",
          "text-margin-x": 8,
        },
      },
    ];
  });
  const sheet = [
    {
      selector: "node.step",
      style: {
        shape: "round-rectangle",
        width: "data(width)",
        height: "data(height)",
        label: "data(label)",
        "font-family": theme.font,
        "font-size": 12.5,
        "text-valign": "center",
        "text-halign": "center",
        "text-wrap": "ellipsis",
        "text-max-width": "data(width)",
        color: color.fg,
        "background-color": color.bg,
        "border-width": 1.5,
        "border-color": color.muted,
        "overlay-opacity": 0,
      },
    },
    { selector: "node.leaf.visited", style: { "font-weight": 500 } },
    {
      selector: "node.group",
      style: { "text-valign": "top", "text-margin-y": 17, "background-opacity": 0.45, padding: "14px", "font-size": 11.5 },
    },
    { selector: "node.unvisited", style: { color: color.muted, "border-color": faint, "border-width": 1.2 } },
    { selector: "node.global", style: { shape: "cut-rectangle" } },
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
    { selector: "node.goal", style: { "border-width": 2.4 } },
    { selector: "node.failing", style: { "border-width": 4, "border-style": "double", "border-color": color.failed } },
    {
      selector: "edge",
      style: {
        width: "data(weight)",
        "curve-style": "bezier",
        "line-color": mix(color.soft, color.bg, 0.75),
        "target-arrow-color": mix(color.soft, color.bg, 0.75),
        "target-arrow-shape": "triangle",
        "arrow-scale": 0.85,
        label: "data(label)",
        "font-family": theme.font,
        "font-size": 10.5,
        color: color.soft,
        "text-background-color": color.bg,
        "text-background-opacity": 0.9,
        "text-background-padding": "1px",
        "overlay-opacity": 0,
        "loop-direction": "-45deg",
        "loop-sweep": "60deg",
      },
    },
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
      selector: "edge.causal",
      style: { "line-color": color.selected, "target-arrow-color": color.selected, "z-index": 5 },
    },
    { selector: "node.hover", style: { "underlay-color": color.soft, "underlay-padding": 4, "underlay-opacity": 0.18 } },
    {
      selector: "node.chosen",
      style: { "underlay-color": color.selected, "underlay-padding": 5, "underlay-opacity": 0.5, "z-index": 9 },
    },
  ];
  // Cytoscape's types do not know every property that it draws (mixed dash patterns, data mappers in numbers).
  return sheet as unknown as StylesheetJson;
}

function iconUri(path: string, color: string): string {
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32" viewBox="0 0 16 16"><path d="${path}" fill="none" ` +
    `stroke="${color}" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"/></svg>`;
  return `data:image/svg+xml;utf8,${encodeURIComponent(svg)}`;
}
