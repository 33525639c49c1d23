// How the graph looks in a theme. Pure.

import type { NodeSingular, StylesheetJson } from "cytoscape";
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
          "background-width": "14px",
          "background-height": "14px",
          "background-position-x": "8px",
          "background-position-y": "50%",
          "text-margin-x": 9,
        },
      },
    ];
  });
  const badge = {
    "background-image": (node: NodeSingular) => {
      const status = statusLook(node.data("status") as string);
      const own = color[status.color.replace("--ftnb-", "") as ColorName] ?? color.muted;
      return [iconUri(status.path, own), badgeUri(String(node.data("times")), own, color.bg)];
    },
    "background-width": ["14px", "26px"],
    "background-height": ["14px", "16px"],
    "background-position-x": ["8px", "100%"],
    "background-position-y": ["50%", "0%"],
    "background-offset-x": ["0px", "9px"],
    "background-offset-y": ["0px", "-9px"],
    "background-clip": ["node", "none"],
    "background-image-containment": ["inside", "over"],
    "bounds-expansion": 10,
  };
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
    {
      selector: "node.group",
      style: { "text-valign": "top", "text-margin-y": 17, "background-opacity": 0.45, padding: "14px", "font-size": 11.5 },
    },
    { selector: "node.unvisited", style: { color: color.soft, "border-color": faint, "border-width": 1.2 } },
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
    { selector: "node.leaf.repeated", style: badge },
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
    { selector: "edge.level", style: { "text-margin-y": 10, "text-background-opacity": 0 } },
    { selector: "edge.upright", style: { "text-margin-x": 14, "text-background-opacity": 0 } },
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
  return svgUri(
    32, 32, "0 0 16 16",
    `<path d="${path}" fill="none" stroke="${color}" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"/>`,
  );
}

/** How often a node ran, as a pill on its corner. `times` is a number of ours, never text from a trace. */
function badgeUri(times: string, color: string, background: string): string {
  const size = times.length > 2 ? 9 : 10.5;
  return svgUri(
    78, 48, "0 0 26 16",
    `<rect x="0.5" y="0.5" width="25" height="15" rx="7.5" fill="${color}" stroke="${background}"/><text x="13" y="11.8" ` +
      `font-family="sans-serif" font-size="${size}" font-weight="600" text-anchor="middle" fill="${background}">×${times}</text>`,
  );
}

function svgUri(width: number, height: number, box: string, content: string): string {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="${box}">${content}</svg>`;
  return `data:image/svg+xml;utf8,${encodeURIComponent(svg)}`;
}
