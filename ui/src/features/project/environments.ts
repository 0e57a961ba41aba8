import { createEffect, createMemo, createSignal, onCleanup } from "solid-js";
import { ApiError, request } from "../../api/client";
import { gql } from "../../api/gql";
import { live, onEvent } from "../../api/live";
import type {
  BranchRowFragment,
  BranchRowOneQuery,
  BranchRowOneQueryVariables,
  BranchRowsQuery,
  BranchRowsQueryVariables,
  LiveSessionsQuery,
} from "../../api/types";
import { toastError } from "../../components/Toasts";
import { replaced } from "./rows";

const BranchRow = /* GraphQL */ `
  fragment BranchRow on Environment {
    id ref name hash updatedAt
    parent { id name hash }
    head { id hash message packages { name version } }
  }
`;

const BranchRowsDoc = gql<BranchRowsQuery, BranchRowsQueryVariables>(
  /* GraphQL */ `
  query BranchRows($project: String!, $after: String) {
    environments(project: $project, first: 500, after: $after) {
      totalCount
      nodes { ...BranchRow }
      pageInfo { hasNextPage endCursor }
    }
  }
`,
  [BranchRow],
);

const BranchRowDoc = gql<BranchRowOneQuery, BranchRowOneQueryVariables>(
  /* GraphQL */ `
  query BranchRowOne($ref: String!) { environment(ref: $ref) { projectSlug ...BranchRow } }
`,
  [BranchRow],
);

const LiveSessionsDoc = gql<LiveSessionsQuery>(/* GraphQL */ `
  query LiveSessions {
    sessions(first: 500) { nodes { id number status environmentRef } }
  }
`);

export type LiveSession = LiveSessionsQuery["sessions"]["nodes"][number];
/** An environment with its live sessions. */
export type Branch = BranchRowFragment & { sessions: LiveSession[] };

const few = 10; // changed environments that are asked for one by one

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
  const changed = new Set<string>();
  /** Asks for those that changed, or for all where these are many. */
  async function refresh(): Promise<void> {
    const ids = [...changed];
    changed.clear();
    if (ids.length > few || loading()) return load(project(), true);
    const mine = run;
    for (const id of ids) {
      try {
        const { environment } = await request(BranchRowDoc, { ref: id });
        if (mine !== run) return;
        setList((all) => replaced(all, id, environment?.projectSlug === project() ? environment : null));
      } catch (e) {
        if (!(e instanceof ApiError && e.kind === "not_found")) return toastError(e);
        setList((all) => replaced(all, id, null));
      }
    }
  }
  onEvent((e) => {
    if (!e.kind.startsWith("environment.") || !e.environmentId) return;
    changed.add(e.environmentId);
    clearTimeout(timer);
    timer = setTimeout(refresh, changed.size > few ? Math.min(3000, 150 + environments().length / 5) : 150);
  });
  onCleanup(() => {
    run++;
    clearTimeout(timer);
  });
  return { list, loading };
}
