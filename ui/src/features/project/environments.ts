import { createEffect, createMemo, createSignal, onCleanup } from "solid-js";
import { request } from "../../api/client";
import { gql } from "../../api/gql";
import { live, onEvent } from "../../api/live";
import type { BranchRowFragment, BranchRowsQuery, BranchRowsQueryVariables, LiveSessionsQuery } from "../../api/types";
import { toastError } from "../../components/Toasts";

const BranchRowsDoc = gql<BranchRowsQuery, BranchRowsQueryVariables>(/* GraphQL */ `
  query BranchRows($project: String!, $after: String) {
    environments(project: $project, first: 500, after: $after) {
      totalCount
      nodes { ...BranchRow }
      pageInfo { hasNextPage endCursor }
    }
  }
  fragment BranchRow on Environment {
    id ref name hash updatedAt
    parent { id name hash }
    head { id hash message packages { name version } }
  }
`);

const LiveSessionsDoc = gql<LiveSessionsQuery>(/* GraphQL */ `
  query LiveSessions {
    sessions(first: 500) { nodes { id number status environmentRef } }
  }
`);

export type LiveSession = LiveSessionsQuery["sessions"]["nodes"][number];
/** An environment with its live sessions. */
export type Branch = BranchRowFragment & { sessions: LiveSession[] };

/**
 * All environments of a project, page by page, and again when something happens
 * to one of them.
 */
export function useEnvironments(project: () => string) {
  const [environments, setList] = createSignal<BranchRowFragment[]>([]);
  const sessions = live(
    LiveSessionsDoc,
    () => ({}),
    (e) => e.kind.startsWith("session."),
  );
  const list = createMemo((): Branch[] => {
    const of = new Map<string, LiveSession[]>();
    for (const s of sessions.data()?.sessions.nodes ?? []) {
      of.set(s.environmentRef, [...(of.get(s.environmentRef) ?? []), s]);
    }
    return environments().map((e) => ({ ...e, sessions: of.get(e.ref) ?? [] }));
  });
  const [loading, setLoading] = createSignal(true);
  let run = 0;
  async function load(ref: string, keep: boolean): Promise<void> {
    const mine = ++run;
    const all: BranchRowFragment[] = [];
    let after: string | null = null;
    setLoading(true);
    try {
      do {
        const page: BranchRowsQuery = await request(BranchRowsDoc, { project: ref, after });
        if (mine !== run) return;
        all.push(...page.environments.nodes);
        if (!keep) setList([...all]);
        after = page.environments.pageInfo.hasNextPage ? page.environments.pageInfo.endCursor : null;
      } while (after);
      setList(all);
    } catch (e) {
      if (mine === run && keep) toastError(e);
    } finally {
      if (mine === run) setLoading(false);
    }
  }
  createEffect(() => {
    setList([]);
    void load(project(), false);
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  onEvent((e) => {
    if (!e.kind.startsWith("environment.")) return;
    clearTimeout(timer);
    timer = setTimeout(() => load(project(), true), Math.min(3000, 150 + environments().length / 5));
  });
  onCleanup(() => {
    run++;
    clearTimeout(timer);
  });
  return { list, loading };
}
