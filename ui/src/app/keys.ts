import { createSignal, onCleanup } from "solid-js";

export interface Shortcut {
  /** One key, or two to press after each other: "g h". */
  keys: string;
  text: string;
  /** Whether it works on every page. */
  everywhere?: boolean;
  run: () => void;
}

const stored = "nixspace.keys";

function wanted(): boolean {
  try {
    return localStorage.getItem(stored) !== "off";
  } catch {
    return true; // a browser that keeps nothing
  }
}

const [on, setOn] = createSignal(wanted());
/** Whether single keys do things; somebody may have switched them off. */
export const keysOn = on;

export function setKeysOn(yes: boolean): void {
  setOn(yes);
  try {
    if (yes) localStorage.removeItem(stored);
    else localStorage.setItem(stored, "off");
  } catch {
    // it holds until the page is closed
  }
}

const active = new Set<Shortcut>();
/** What can be pressed now, for the help sheet. */
export const shortcuts = (): Shortcut[] => [...active];

/** Offers shortcuts while the owner lives. */
export function useShortcuts(list: Shortcut[]): void {
  for (const s of list) active.add(s);
  onCleanup(() => {
    for (const s of list) active.delete(s);
  });
}

/** Whether keys belong to what has the focus: a field, a terminal, a dialog. */
export function typing(target: EventTarget | null): boolean {
  if (!(target instanceof Element)) return false;
  return target.closest("input, textarea, select, [contenteditable], dialog, [role=menu], .xterm") !== null;
}

/** Finds the shortcut that a key completes, given the key before it. */
export function match<T extends { keys: string }>(
  list: Iterable<T>,
  before: string,
  key: string,
): T | "prefix" | undefined {
  let prefix = false;
  for (const s of list) {
    if (before && s.keys === `${before} ${key}`) return s;
    if (!before && s.keys === key) return s;
    if (!before && s.keys.startsWith(`${key} `)) prefix = true;
  }
  return prefix ? "prefix" : undefined;
}

let before = "";
let forget: ReturnType<typeof setTimeout> | undefined;

/** Begins to listen for shortcuts; the palette's is the one that also works while typing. */
export function listen(openPalette: () => void): void {
  const onKey = (e: KeyboardEvent) => {
    if ((e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey && e.key.toLowerCase() === "k") {
      if (e.target instanceof Element && e.target.closest(".xterm")) return;
      e.preventDefault();
      openPalette();
      return;
    }
    if (!on() || e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || typing(e.target)) return;
    const found = match(active, before, e.key);
    clearTimeout(forget);
    before = "";
    if (found === "prefix") {
      before = e.key;
      forget = setTimeout(() => {
        before = "";
      }, 1200);
    } else if (found) {
      e.preventDefault();
      found.run();
    }
  };
  addEventListener("keydown", onKey);
  onCleanup(() => removeEventListener("keydown", onKey));
}
