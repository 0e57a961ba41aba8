import { readCanonical } from "../environment/canonical";

export interface Machine {
  status: string;
  version: { canonical: string };
}

export interface Snap {
  environmentRef: string;
  size: number;
  shared: number;
}

/** What machines that run take together: CPUs, and memory in bytes. */
export function taken(machines: readonly Machine[]): { running: number; cpus: number; memory: number } {
  const up = machines.filter((m) => m.status === "RUNNING" || m.status === "CREATING");
  const each = up.map((m) => readCanonical(m.version.canonical).resources);
  return {
    running: up.length,
    cpus: each.reduce((n, r) => n + r.cpus, 0),
    memory: each.reduce((n, r) => n + r.memory_mib * 2 ** 20, 0),
  };
}

/** How many snapshots each environment has, and the bytes that only they hold; the largest first. */
export function byEnvironment(snapshots: readonly Snap[]): { ref: string; count: number; size: number }[] {
  const of = new Map<string, { ref: string; count: number; size: number }>();
  for (const s of snapshots) {
    const e = of.get(s.environmentRef) ?? { ref: s.environmentRef, count: 0, size: 0 };
    of.set(s.environmentRef, { ...e, count: e.count + 1, size: e.size + s.size - s.shared });
  }
  return [...of.values()].sort((a, b) => b.size - a.size);
}
