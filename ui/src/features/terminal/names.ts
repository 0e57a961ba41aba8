/** The name for a new terminal: main, and then shell-2, shell-3 and so on. */
export function freeName(taken: readonly string[]): string {
  if (!taken.includes("main")) return "main";
  for (let n = 2; ; n++) if (!taken.includes(`shell-${n}`)) return `shell-${n}`;
}
