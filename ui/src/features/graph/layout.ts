export interface GraphVersion {
  hash: string;
  parents: string[];
  /** The environments whose head it is, as project/name. */
  environments: string[];
}

export interface Placed<T> {
  version: T;
  lane: number;
  column: number;
}

export interface Edge {
  from: { lane: number; column: number };
  to: { lane: number; column: number };
  kind: "line" | "branch" | "merge";
}

export interface Layout<T> {
  /** The names on each lane, more than one where environments have the same head; none where it is gone. */
  lanes: string[][];
  columns: number;
  nodes: Placed<T>[];
  edges: Edge[];
}

/**
 * Places versions like stations of a railway: each environment is a line of its
 * own, from the version where it left another one, and what was made later stands
 * further right. Versions come newest first, every one before its parents, as the
 * log gives them; those whose parents are not among them begin a line.
 *
 * Environments are served in the given order: the first one that reaches a version
 * by first parents has it on its line.
 */
export function layout<T extends GraphVersion>(versions: readonly T[], order: readonly string[]): Layout<T> {
  const byHash = new Map(versions.map((v) => [v.hash, v]));
  const column = new Map<string, number>();
  for (const v of versions.toReversed()) {
    const before = v.parents.map((p) => column.get(p) ?? -1);
    column.set(v.hash, Math.max(-1, ...before) + 1);
  }
  const lane = new Map<string, number>();
  const lanes: string[][] = [];
  const claim = (head: T, name: string) => {
    const mine = lanes.push(name ? [name] : []) - 1;
    for (let v: T | undefined = head; v && !lane.has(v.hash); v = byHash.get(v.parents[0] ?? ""))
      lane.set(v.hash, mine);
  };
  const heads = new Map(versions.flatMap((v) => v.environments.map((e) => [e, v] as const)));
  const named = [...order.filter((e) => heads.has(e)), ...[...heads.keys()].filter((e) => !order.includes(e))];
  for (const name of named) {
    const head = heads.get(name)!;
    const taken = lane.get(head.hash);
    if (taken === undefined) claim(head, name);
    else lanes[taken]!.push(name);
  }
  for (const v of versions) if (!lane.has(v.hash)) claim(v, "");

  const nodes = versions.map((v) => ({ version: v, lane: lane.get(v.hash)!, column: column.get(v.hash)! }));
  const place = new Map(nodes.map((n) => [n.version.hash, n]));
  const edges = nodes.flatMap((n) =>
    n.version.parents.flatMap((hash, i): Edge[] => {
      const p = place.get(hash);
      if (!p) return [];
      const kind = i > 0 ? "merge" : p.lane === n.lane ? "line" : "branch";
      return [{ from: { lane: p.lane, column: p.column }, to: { lane: n.lane, column: n.column }, kind }];
    }),
  );
  return { lanes, columns: Math.max(0, ...column.values()) + (versions.length ? 1 : 0), nodes, edges };
}
