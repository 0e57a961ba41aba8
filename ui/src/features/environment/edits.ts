import type { EditInput } from "../../api/types";

/** A name for a branch with these changes: "pg14" with redis added is "pg14-redis". */
export function suggestName(from: string, edits: readonly EditInput[]): string {
  const first = edits[0];
  if (!first) return `${from}-2`;
  const key = first.key.replace(/^.*\./, "").toLowerCase();
  const value = first.op === "REMOVE" ? "" : (first.value ?? "").replace(/[^a-z0-9.]/gi, "");
  const name = `${from}-${first.op === "REMOVE" ? "no-" : ""}${key}${value}`;
  return name
    .replace(/[^a-z0-9.-]+/g, "-")
    .replace(/[.-]+$/, "")
    .slice(0, 60);
}

/** The flags of the command line that say the same. */
export function flags(edits: readonly EditInput[]): string[] {
  return edits.flatMap((e) => {
    if (e.op === "REMOVE") return ["--remove", e.key];
    const value = e.value && e.value !== "*" ? `${e.key}=${e.value}` : e.key;
    return e.op === "ADD" ? ["--add", value] : ["--set", `${e.key}=${e.value}`];
  });
}

/** A change in words. */
export function words(e: {
  op: string;
  path?: string;
  key?: string;
  from?: string;
  to?: string;
  value?: string;
}): string {
  const name = (e.path ?? e.key ?? "").replace(/^packages\./, "");
  if (e.op === "ADD") return `${name} ${e.to ?? e.value ?? ""}`.trim();
  if (e.op === "REMOVE") return name;
  return `${name} ${e.from ?? ""} → ${e.to ?? e.value ?? ""}`;
}
