// Canonical JSON holds what JSON cannot as objects with the key `$ftnb` (ftnb/core/canonical.py). Pure.

import { bytes, count } from "../format";

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The kind of marker that `value` is; null for plain data. */
export function markerOf(value: unknown): string | null {
  return isObject(value) && Object.hasOwn(value, "$ftnb") && typeof value.$ftnb === "string" ? value.$ftnb : null;
}

const CUT_NOUNS: Record<string, string> = {
  chars: "more characters", items: "more items here", keys: "more keys", list: "items, too deep to show", dict: "keys, too deep to show",
};

/** What a marker that stands for something absent says; null for markers that hold their value. */
export function absence(marker: Record<string, unknown>): string | null {
  const n = typeof marker.n === "number" ? count(marker.n) : "?";
  if (marker.$ftnb === "ref") {
    return `stored apart${typeof marker.n_bytes === "number" ? `, ${bytes(marker.n_bytes)}` : ""}`;
  }
  if (marker.$ftnb === "list") return `a list of ${n} items, stored apart`;
  if (marker.$ftnb === "withheld") return "withheld: erased, or left out of this copy";
  if (marker.$ftnb === "redacted") return `withheld: masked when recorded (${String(marker.why ?? "a rule")})`;
  if (marker.$ftnb === "damaged") return `damaged in the store (${String(marker.why ?? "it cannot be read")})`;
  if (marker.$ftnb !== "cut") return null;
  if (marker.why !== "size") return `left out when recorded (${String(marker.why)}${marker.type ? `, ${String(marker.type)}` : ""})`;
  const noun = CUT_NOUNS[String(marker.type)] ?? "more parts";
  return `… ${n} ${noun}`;
}

/** Whether a marker stands for something that was taken away on purpose. */
export function isWithheld(marker: Record<string, unknown>): boolean {
  return marker.$ftnb === "withheld" || marker.$ftnb === "redacted";
}

/** The text of a marker for a single value (a date, a big number, bytes …); null for those with parts. */
export function scalarText(marker: Record<string, unknown>): string | null {
  switch (marker.$ftnb) {
    case "int": case "float": case "datetime": case "date": case "time": case "uuid": case "decimal":
      return String(marker.value);
    case "timedelta": {
      const [days = 0, seconds = 0, micros = 0] = Array.isArray(marker.value) ? marker.value.map(Number) : [];
      return `${days * 86_400 + seconds + micros / 1e6} s`;
    }
    case "bytes":
      return typeof marker.base64 === "string" ? `bytes, ${bytes(Math.floor((marker.base64.length * 3) / 4))}` : "bytes";
    case "str":
      return String(marker.ascii);
    case "object":
      return typeof marker.text === "string" ? marker.text : null;
    default:
      return null;
  }
}
