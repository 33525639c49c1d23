// Where the page is, as its address says: the list, a run, or a step of it. Pure.

export interface Place {
  engagement: string | null;
  steps: string[];
}

/** `#/e/<id>/s/<step>`; more than one step are parted by commas. */
export function placeOf(hash: string): Place {
  const [, kind, id, part, steps] = hash.replace(/^#/, "").split("/");
  if (kind !== "e" || !id) return { engagement: null, steps: [] };
  return { engagement: decode(id), steps: part === "s" && steps ? steps.split(",").map(decode) : [] };
}

export function hashOf({ engagement, steps }: Place): string {
  if (engagement === null) return "#/";
  const chosen = steps.length ? `/s/${steps.map(encodeURIComponent).join(",")}` : "";
  return `#/e/${encodeURIComponent(engagement)}${chosen}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
