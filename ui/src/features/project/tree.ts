export interface TreeItem {
  id: string;
  name: string;
  parent: { id: string } | null;
  head: { packages: { name: string; version: string }[] };
}

export interface TreeRow<T> {
  item: T;
  depth: number;
  /** Whether it, not only one below it, is what the filter asks for. */
  matches: boolean;
  /** The last of its parent's, and so for each ancestor, from the root down: where lines end. */
  last: boolean[];
}

/** Whether a name or a package with its version holds every word. */
export function matches(item: TreeItem, filter: string): boolean {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return true;
  const text = `${item.name} ${item.head.packages.map((p) => `${p.name} ${p.version} ${p.name}=${p.version}`).join(" ")}`;
  return words.every((w) => text.toLowerCase().includes(w));
}

/**
 * Orders environments as a tree of who was branched from whom. One whose parent is
 * not in the list is a root. With a filter, what matches is kept with its ancestors.
 */
export function tree<T extends TreeItem>(items: readonly T[], filter = ""): TreeRow<T>[] {
  const known = new Set(items.map((i) => i.id));
  const children = new Map<string, T[]>();
  const roots: T[] = [];
  for (const item of items) {
    const parent = item.parent?.id;
    if (!parent || !known.has(parent)) roots.push(item);
    else push(children, parent, item);
  }
  const kept = keep(items, filter);
  const rows: TreeRow<T>[] = [];
  // A stack of our own: a chain of ten thousand branches would overflow the engine's.
  const stack: { item: T; last: boolean[] }[] = [];
  const add = (list: T[], above: boolean[]) => {
    const shown = list.filter((i) => kept.has(i.id));
    for (let i = shown.length - 1; i >= 0; i--)
      stack.push({ item: shown[i]!, last: [...above.slice(-maxDepth), i === shown.length - 1] });
  };
  add(roots, []);
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { item, last } = next;
    rows.push({ item, depth: last.length - 1, matches: matches(item, filter), last });
    add(children.get(item.id) ?? [], last);
  }
  return rows;
}

/** Deeper branches are shown at this depth. */
const maxDepth = 12;

function push<T>(map: Map<string, T[]>, key: string, item: T): void {
  const list = map.get(key);
  if (list) list.push(item);
  else map.set(key, [item]);
}

function keep(items: readonly TreeItem[], filter: string): Set<string> {
  const byId = new Map(items.map((i) => [i.id, i]));
  const kept = new Set<string>();
  for (const item of items) {
    if (!matches(item, filter)) continue;
    for (let i: TreeItem | undefined = item; i && !kept.has(i.id); i = i.parent ? byId.get(i.parent.id) : undefined) {
      kept.add(i.id);
    }
  }
  return kept;
}
