/** A place in a file, in lines and columns from 0. */
export interface Place {
  path: string;
  line: number;
  column: number;
}

/** Reads PATH, PATH:LINE or PATH:LINE:COLUMN, which count from 1. */
export function placeOf(text: string, folder: string): Place | undefined {
  const m = /^(.+?)(?::(\d+))?(?::(\d+))?$/.exec(text);
  if (!m?.[1]) return undefined;
  const path = m[1].startsWith("/") ? m[1] : `${folder}/${m[1]}`;
  return { path, line: Math.max(0, Number(m[2] ?? 1) - 1), column: Math.max(0, Number(m[3] ?? 1) - 1) };
}
