// Small signs on nodes, as images: status, how often, how much. Only text of ours gets into them, never a trace's.

import { statusLook } from "../status";
import type { ColorName, Theme } from "../theme";

interface Sign {
  uri: string;
  width: number;
  height: number;
  x: string;
  y: string;
  dx: number;
  dy: number;
  clip: "node" | "none";
}

const FOLD = "M2.5 2.5 H13.5 V13.5 H2.5 Z M5 8 H11";
const UNFOLD = `${FOLD} M8 5 V11`;

export interface Pictured {
  status: string;
  badge: string;
  note: string;
  kind: "leaf" | "group" | "folded";
  visited: boolean;
}

/** The signs of a node, as the properties that Cytoscape wants. Equal nodes get equal objects. */
export function makePictures(theme: Theme): (node: Pictured) => Record<string, string[]> {
  const known = new Map<string, Record<string, string[]>>();
  return (node) => {
    const key = JSON.stringify([node.status, node.badge, node.note, node.kind, node.visited]);
    const made = known.get(key) ?? properties(signs(node, theme));
    known.set(key, made);
    return made;
  };
}

function signs(node: Pictured, theme: Theme): Sign[] {
  const look = statusLook(node.status);
  const own = theme.color[look.color.replace("--ftnb-", "") as ColorName] ?? theme.color.muted;
  const found: Sign[] = [];
  if (node.kind === "group") {
    return [{ uri: iconUri(FOLD, theme.color.soft, 1.6), width: 13, height: 13, x: "6px", y: "5px", dx: 0, dy: 0, clip: "node" }];
  }
  if (node.visited) found.push({ uri: iconUri(look.path, own), width: 14, height: 14, x: "8px", y: "50%", dx: 0, dy: 0, clip: "node" });
  if (node.kind === "folded") {
    found.push({ uri: iconUri(UNFOLD, theme.color.soft, 1.6), width: 13, height: 13, x: "100%", y: "50%", dx: -6, dy: 0, clip: "node" });
  }
  if (node.badge) found.push({ ...pill(node.badge, own, theme.color.bg), x: "100%", y: "0%", dx: 9, dy: -9, clip: "none" });
  if (node.note) found.push({ ...pill(node.note, theme.color.panel, theme.color.fg, theme.color.soft), x: "50%", y: "100%", dx: 0, dy: 9, clip: "none" });
  return found;
}

function properties(found: readonly Sign[]): Record<string, string[]> {
  return {
    "background-image": found.map((one) => one.uri),
    "background-width": found.map((one) => `${one.width}px`),
    "background-height": found.map((one) => `${one.height}px`),
    "background-position-x": found.map((one) => one.x),
    "background-position-y": found.map((one) => one.y),
    "background-offset-x": found.map((one) => `${one.dx}px`),
    "background-offset-y": found.map((one) => `${one.dy}px`),
    "background-clip": found.map((one) => one.clip),
    "background-image-containment": found.map((one) => (one.clip === "none" ? "over" : "inside")),
  };
}

export const PICTURE_PROPERTIES = Object.keys(properties([]));

function iconUri(path: string, color: string, width = 2.2): string {
  return svgUri(
    32, 32, "0 0 16 16",
    `<path d="${path}" fill="none" stroke="${color}" stroke-width="${width}" stroke-linecap="round" stroke-linejoin="round"/>`,
  );
}

/** A few characters on a rounded plate. */
function pill(text: string, fill: string, ink: string, border = ink): Pick<Sign, "uri" | "width" | "height"> {
  const width = Math.max(26, Math.round(12 + text.length * 6));
  const safe = text.replace(/[<>&"']/g, "");
  const uri = svgUri(
    width * 3, 48, `0 0 ${width} 16`,
    `<rect x="0.5" y="0.5" width="${width - 1}" height="15" rx="7.5" fill="${fill}" stroke="${border}"/><text x="${width / 2}" y="11.8" ` +
      `font-family="sans-serif" font-size="10" font-weight="600" text-anchor="middle" fill="${ink}">${safe}</text>`,
  );
  return { uri, width, height: 16 };
}

function svgUri(width: number, height: number, box: string, content: string): string {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="${box}">${content}</svg>`;
  return `data:image/svg+xml;utf8,${encodeURIComponent(svg)}`;
}
