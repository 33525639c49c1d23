// Colours from the page around us, resolved for canvases, which cannot use CSS variables.

const NAMES = [
  "bg", "panel", "line", "fg", "soft", "muted", "done", "running", "failed", "waiting", "selected",
  "llm", "tool", "extraction", "switch",
] as const;

export type ColorName = (typeof NAMES)[number];

export interface Theme {
  dark: boolean;
  font: string;
  mono: string;
  color: Record<ColorName, string>;
}

/** Decide on dark or light from where `root` stands, mark it, and read the colours. */
export function applyTheme(root: HTMLElement): Theme {
  const dark = isDark(root);
  root.dataset.theme = dark ? "dark" : "light";
  const probe = document.createElement("span");
  probe.style.display = "none";
  root.append(probe);
  const color = Object.fromEntries(
    NAMES.map((name) => {
      probe.style.color = `var(--ftnb-${name})`;
      return [name, getComputedStyle(probe).color || "gray"];
    }),
  ) as Record<ColorName, string>;
  probe.style.fontFamily = "var(--ftnb-mono)";
  const mono = getComputedStyle(probe).fontFamily || "monospace";
  probe.remove();
  return { dark, color, mono, font: getComputedStyle(root).fontFamily || "sans-serif" };
}

/** Call `onChange` when the page may have changed its theme; ends with `signal`. */
export function watchTheme(onChange: () => void, signal: AbortSignal): void {
  const observer = new MutationObserver(onChange);
  const attributeFilter = ["class", "style", "theme", "data-theme", "data-jp-theme-light", "data-vscode-theme-kind"];
  for (const element of [document.documentElement, document.body]) {
    observer.observe(element, { attributes: true, attributeFilter });
  }
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", onChange, { signal });
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });
}

function isDark(root: HTMLElement): boolean {
  const { body, documentElement: html } = document;
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false";
  const kind = body.dataset.vscodeThemeKind;
  if (kind) return kind.includes("dark") || kind === "vscode-high-contrast";
  for (const element of [body, html]) {
    if (element.classList.contains("dark") || element.dataset.theme === "dark") return true;
    if (element.classList.contains("light") || element.dataset.theme === "light") return false;
    if (element.getAttribute("theme") === "dark") return true;
  }
  for (let at: Element | null = root.parentElement; at; at = parentOf(at)) {
    const lightness = lightnessOf(getComputedStyle(at).backgroundColor);
    if (lightness !== null) return lightness < 0.5;
  }
  const scheme = getComputedStyle(html).colorScheme;
  return scheme.includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches;
}

function parentOf(element: Element): Element | null {
  const root = element.getRootNode();
  return element.parentElement ?? (root instanceof ShadowRoot ? root.host : null);
}

/** 0 black … 1 white; null where the colour is see-through. */
export function lightnessOf(color: string): number | null {
  const numbers = color.match(/[\d.]+/g)?.map(Number) ?? [];
  const [r, g, b, a = 1] = numbers;
  if (r === undefined || g === undefined || b === undefined || a < 0.5) return null;
  return (0.299 * r + 0.587 * g + 0.114 * b) / 255;
}

/** Mix two `rgb(...)` colours; `share` of the first. */
export function mix(a: string, b: string, share: number): string {
  const [x, y] = [a, b].map((color) => color.match(/[\d.]+/g)?.map(Number) ?? []);
  const part = (i: number) => Math.round((x?.[i] ?? 128) * share + (y?.[i] ?? 128) * (1 - share));
  return `rgb(${part(0)}, ${part(1)}, ${part(2)})`;
}
