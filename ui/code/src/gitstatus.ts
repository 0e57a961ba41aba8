export type Kind = "modified" | "added" | "deleted" | "renamed" | "untracked" | "conflict";

export interface Change {
  path: string; // relative to the repository
  kind: Kind;
  from?: string; // where it was, if it was renamed
}

export interface RepositoryStatus {
  branch: string;
  upstream: string;
  ahead: number;
  behind: number;
  staged: Change[];
  working: Change[];
}

export const letters: Record<Kind, string> = {
  modified: "M",
  added: "A",
  deleted: "D",
  renamed: "R",
  untracked: "U",
  conflict: "!",
};

export const words: Record<Kind, string> = {
  modified: "Modified",
  added: "Added",
  deleted: "Deleted",
  renamed: "Renamed",
  untracked: "Untracked",
  conflict: "Conflict",
};

const kinds: Record<string, Kind> = {
  M: "modified",
  T: "modified",
  A: "added",
  D: "deleted",
  R: "renamed",
  C: "added",
};

/** Reads what `git status --porcelain=v2 -z --branch` prints. */
export function parseStatus(out: string): RepositoryStatus {
  const s: RepositoryStatus = { branch: "", upstream: "", ahead: 0, behind: 0, staged: [], working: [] };
  const entries = out.split("\0");
  for (let i = 0; i < entries.length; i++) {
    const e = entries[i] ?? "";
    const fields = e.split(" ");
    switch (fields[0]) {
      case "#":
        header(s, fields.slice(1));
        break;
      case "?":
        s.working.push({ path: e.slice(2), kind: "untracked" });
        break;
      case "u":
        s.working.push({ path: fields.slice(10).join(" "), kind: "conflict" });
        break;
      case "1":
        both(s, fields[1] ?? "", fields.slice(8).join(" "));
        break;
      case "2":
        both(s, fields[1] ?? "", fields.slice(9).join(" "), entries[++i]);
        break;
    }
  }
  return s;
}

function both(s: RepositoryStatus, xy: string, path: string, from?: string): void {
  const staged = kinds[xy[0] ?? ""];
  const working = kinds[xy[1] ?? ""];
  if (staged) s.staged.push(from ? { path, kind: staged, from } : { path, kind: staged });
  if (working) s.working.push({ path, kind: working });
}

function header(s: RepositoryStatus, [name, ...rest]: string[]): void {
  switch (name) {
    case "branch.head":
      s.branch = rest.join(" ");
      break;
    case "branch.upstream":
      s.upstream = rest.join(" ");
      break;
    case "branch.ab":
      s.ahead = Math.abs(Number(rest[0]) || 0);
      s.behind = Math.abs(Number(rest[1]) || 0);
      break;
  }
}
