import type { BranchRowFragment } from "../../api/types";

/** The list with one environment as it is now, or without it; those below it know its content. */
export function replaced(
  all: readonly BranchRowFragment[],
  id: string,
  now: BranchRowFragment | null,
): BranchRowFragment[] {
  const rest = all.filter((e) => e.id !== id);
  if (!now) return rest;
  const list = rest.map((e) => (e.parent?.id === id ? { ...e, parent: { id, name: now.name, hash: now.hash } } : e));
  const at = list.findIndex((e) => e.name > now.name);
  list.splice(at < 0 ? list.length : at, 0, now);
  return list;
}
