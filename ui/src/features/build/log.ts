export interface Line {
  seq: number;
  at: string;
  text: string;
}

/** A part of a build's log: one derivation, or what lies between two. */
export interface Section {
  key: string;
  title: string;
  lines: Line[];
}

const derivation = /(?:\/nix\/store\/[a-z0-9]{32}-)([^'\s]+?)\.drv/;
const phase = /^([\w.+-]+-[\d][\w.+-]*|[\w.+-]+)> /;

/** The name of what a line is about, or undefined where it does not say. */
export function subject(text: string): string | undefined {
  return derivation.exec(text)?.[1] ?? phase.exec(text)?.[1];
}

/**
 * Cuts a log into sections: a new one begins where lines are about something else.
 * A section that has not grown since before stays the same object.
 */
export function sections(lines: readonly Line[], before: readonly Section[] = []): Section[] {
  const out: Section[] = [];
  for (const line of lines) {
    const last = out.at(-1);
    const about = subject(line.text) ?? last?.title ?? "Log";
    if (last && last.title === about) last.lines.push(line);
    else out.push({ key: `${line.seq}`, title: about, lines: [line] });
  }
  return out.map((s, i) => (before[i]?.key === s.key && before[i].lines.length === s.lines.length ? before[i] : s));
}
