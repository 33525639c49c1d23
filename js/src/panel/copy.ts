// Putting text on the clipboard, also where the page is not allowed to use the clipboard's own interface.

import { button, icon } from "../dom";
import { ICON_COPY } from "../status";

const SAY_MS = 1500;

/** A button that copies what `text` gives, and says whether it worked. */
export function copyButton(text: () => string | Promise<string>, label = "Copy"): HTMLButtonElement {
  const own = button(icon(ICON_COPY), () => {
    void Promise.resolve(text()).then(copyText).then(
      (done) => say(done ? "copied" : "not allowed here"),
      () => say("not copied"),
    );
  }, { class: "ftnb-copy", title: label, attrs: { "aria-label": label } });
  const say = (word: string) => {
    own.dataset.said = word;
    own.setAttribute("aria-label", `${label}: ${word}`);
    setTimeout(() => {
      delete own.dataset.said;
      own.setAttribute("aria-label", label);
    }, SAY_MS);
  };
  return own;
}

export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

function copyBySelection(text: string): boolean {
  const field = document.createElement("textarea");
  field.value = text;
  field.style.position = "fixed";
  field.style.opacity = "0";
  document.body.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    field.remove();
  }
}
