import type { DetectQuery, FetchUpdatesSubscription } from "../../api/types";

/** What environment code needs, and why. */
export type Detection = DetectQuery["detect"];
export type Choice = Detection["choices"][number];
type Progress = NonNullable<FetchUpdatesSubscription["fetchUpdates"]["progress"]>;
export type Fetched = NonNullable<FetchUpdatesSubscription["fetchUpdates"]["fetch"]>;

/** Where code is to be fetched from. */
export interface Wanted {
  source: string;
  ref?: string;
  dir?: string;
  token?: string;
}

const phases: Record<string, string> = {
  count: "Counting",
  compress: "Compressing",
  receive: "Receiving",
  resolve: "Putting together",
  store: "Storing",
};

/** Says how far a fetch is. */
export function progressText(p: Progress): string {
  const what = phases[p.phase] ?? "Fetching";
  return p.total > 0 ? `${what}, ${Math.floor((100 * p.done) / p.total)} %` : `${what}…`;
}

/** Names a choice in a few words. */
export function choiceText(c: Pick<Choice, "path" | "value" | "version">): string {
  const dot = c.path.indexOf(".");
  const [kind, name] = [c.path.slice(0, dot), c.path.slice(dot + 1)];
  if (kind === "packages") return `${name} ${c.version || c.value}`;
  if (kind === "services") return `service ${name}`;
  if (kind === "ports") return `port ${c.value}`;
  return `script ${name}`;
}

/** Says where code came from, as the project shows it. */
export function sourceText(f: Fetched): string {
  const commit = f.code?.commit;
  return commit ? `${f.source.replace(/\.git$/, "")} at ${commit.slice(0, 12)}` : f.source;
}

/** Whether code has a flake.nix. */
export const hasFlake = (d: Pick<Detection, "defined">) => d.defined.some((x) => x.tool === "Nix flake");
