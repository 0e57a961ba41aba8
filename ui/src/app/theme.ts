import { createSignal } from "solid-js";

export type Theme = "system" | "light" | "dark";

const key = "nixspace.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

function stored(): Theme {
  try {
    const v = localStorage.getItem(key);
    if (v === "light" || v === "dark") return v;
  } catch {
    // a browser that keeps nothing follows the system
  }
  return "system";
}

const [choice, setChoice] = createSignal<Theme>(stored());
export const theme = choice;

function show(): void {
  const t = choice();
  document.documentElement.dataset.theme = t === "system" ? (dark.matches ? "dark" : "light") : t;
}
dark.addEventListener("change", show);

export function setTheme(t: Theme): void {
  setChoice(t);
  try {
    if (t === "system") localStorage.removeItem(key);
    else localStorage.setItem(key, t);
  } catch {
    // it holds until the page is closed
  }
  show();
}

/** System, light, dark and round again. */
export const nextTheme = (): Theme => (choice() === "system" ? "light" : choice() === "light" ? "dark" : "system");
