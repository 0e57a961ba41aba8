import type { TreeItem } from "./tree";

/** A row of the table: an environment, and what runs of it. */
export interface Row extends TreeItem {
  ref: string;
  parent: { id: string; name: string } | null;
  updatedAt: string;
  sessions: readonly unknown[];
}

/** The packages that most environments have, at most that many: each is a column. */
export function packageColumns(items: readonly TreeItem[], most = 5): string[] {
  const counts = new Map<string, number>();
  for (const item of items) for (const p of item.head.packages) counts.set(p.name, (counts.get(p.name) ?? 0) + 1);
  return [...counts]
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
    .slice(0, most)
    .map(([name]) => name);
}

export interface Order {
  /** "name", "parent", "sessions", "updated", or "package:NAME". */
  by: string;
  down: boolean;
}

const collator = new Intl.Collator("en", { numeric: true });

function value(row: Row, by: string): string {
  if (by === "parent") return row.parent?.name ?? "";
  if (by === "sessions") return String(row.sessions.length);
  if (by === "updated") return row.updatedAt;
  if (by.startsWith("package:")) return row.head.packages.find((p) => p.name === by.slice(8))?.version ?? "";
  return row.name;
}

/** Orders rows; equal ones by name. Numbers in versions and names count as numbers. */
export function ordered<T extends Row>(rows: readonly T[], order: Order): T[] {
  const keyed = rows.map((row) => ({ row, key: value(row, order.by) }));
  const sign = order.down ? -1 : 1;
  keyed.sort((a, b) => sign * collator.compare(a.key, b.key) || collator.compare(a.row.name, b.row.name));
  return keyed.map((k) => k.row);
}
