// Images inside recorded values. Only raster formats that a browser decodes without running anything: no SVG.

import { button, h } from "../dom";
import { bytes } from "../format";
import { isObject, markerOf } from "./markers";

interface Media {
  type: string;
  /** null: the bytes are not here. */
  base64: string | null;
  n_bytes: number | null;
}

const HEADS: ReadonlyArray<readonly [string, string]> = [
  ["iVBORw0KGgo", "image/png"],
  ["/9j/", "image/jpeg"],
  ["R0lGOD", "image/gif"],
  ["UklGR", "image/webp"],
  ["AAAAHGZ0eXBhdmlm", "image/avif"],
  ["AAAAIGZ0eXBhdmlm", "image/avif"],
];
const SHOWN = new Set(HEADS.map(([, type]) => type));
const DATA_URL = /^data:([\w.+-]+\/[\w.+-]+)(?:;[\w.+=-]+){0,4};base64,/;
const LARGEST = 16_000_000;

/** The image (or other bytes) that `value` is: a bytes or media marker, a data URL, base64 of an image; else null. */
export function asMedia(value: unknown): Media | null {
  if (typeof value === "string") return fromText(value);
  if (!isObject(value)) return null;
  if (markerOf(value) === "bytes") {
    if (typeof value.base64 === "string") return { type: typeOf(value.base64) ?? "bytes", base64: value.base64, n_bytes: sizeOf(value.base64) };
    const head = isObject(value.base64) && typeof value.base64.head === "string" ? value.base64.head : "";
    const rest = isObject(value.base64) && typeof value.base64.n === "number" ? value.base64.n : 0;
    return { type: typeOf(head) ?? "bytes", base64: null, n_bytes: Math.floor(((head.length + rest) * 3) / 4) };
  }
  if (markerOf(value) === "media") {
    return { type: String(value.media), base64: null, n_bytes: typeof value.n_bytes === "number" ? value.n_bytes : null };
  }
  if (markerOf(value) !== "cut" || typeof value.head !== "string" || typeof value.n !== "number") return null;
  const begun = fromText(value.head);
  return begun && { ...begun, base64: null, n_bytes: Math.floor(((value.head.length + value.n) * 3) / 4) };
}

function fromText(text: string): Media | null {
  const url = DATA_URL.exec(text.slice(0, 300));
  const base64 = url ? text.slice(url[0].length) : text;
  const type = typeOf(base64);
  if (url) return { type: type ?? url[1] ?? "bytes", base64: type ? base64 : null, n_bytes: sizeOf(base64) };
  return type !== null && base64.length > 100 && /^[A-Za-z0-9+/]+=*$/.test(base64) ? { type, base64, n_bytes: sizeOf(base64) } : null;
}

function typeOf(base64: string): string | null {
  return HEADS.find(([head]) => base64.startsWith(head))?.[1] ?? null;
}

function sizeOf(base64: string): number {
  return Math.floor((base64.length * 3) / 4);
}

/** The image, or a line that says what is there and why it is not shown. */
export function mediaElement(media: Media): HTMLElement {
  const size = media.n_bytes === null ? "" : `, ${bytes(media.n_bytes)}`;
  const caption = h("div", { class: "ftnb-note", text: `${media.type}${size}` });
  if (media.base64 === null || !SHOWN.has(media.type) || media.base64.length > LARGEST) {
    if (SHOWN.has(media.type)) caption.append(media.base64 === null ? "; shown when the whole value is loaded" : "; too large to show");
    return caption;
  }
  const image = h("img", { class: "ftnb-image", attrs: { alt: `recorded ${media.type}${size}`, loading: "lazy" } });
  const url = URL.createObjectURL(new Blob([decode(media.base64)], { type: media.type }));
  // The decoded picture stays when its address goes.
  image.addEventListener("load", () => URL.revokeObjectURL(url));
  image.addEventListener("error", () => {
    URL.revokeObjectURL(url);
    image.replaceWith(h("span", { class: "ftnb-cut", text: "it cannot be decoded" }));
  });
  image.src = url;
  const large = button(image, () => void image.classList.toggle("large"), { class: "ftnb-image-button", title: "Larger or smaller" });
  return h("figure", { class: "ftnb-figure" }, large, caption);
}

function decode(base64: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}
