import { A, useParams } from "@solidjs/router";
import { createMemo, createSignal, lazy, Match, Show, Switch } from "solid-js";
import { gql } from "../../api/gql";
import { live } from "../../api/live";
import type { ProjectQuery, ProjectQueryVariables } from "../../api/types";
import { Commands } from "../../components/Commands";
import { count } from "../../components/format";
import { Glyph } from "../../components/Hash";
import { Icon } from "../../components/Icon";
import { Card, Page } from "../../components/Page";
import { Empty, Problem } from "../../components/States";
import { Time } from "../../components/Time";
import { Graph } from "../graph/Graph";
import { BranchList } from "./BranchList";
import { BranchTable } from "./BranchTable";
import { useEnvironments } from "./environments";
import { tree } from "./tree";

const Readme = lazy(() => import("./Readme"));

const ProjectDoc = gql<ProjectQuery, ProjectQueryVariables>(/* GraphQL */ `
  query Project($ref: String!) {
    project(ref: $ref) {
      id slug source workspace createdAt
      environments(first: 1) { totalCount }
      readme { path text }
    }
  }
`);

export default function Project() {
  const params = useParams<{ project: string; view?: string }>();
  const project = live(ProjectDoc, () => ({ ref: params.project }));
  const [filter, setFilter] = createSignal("");
  const environments = useEnvironments(() => params.project);
  const rows = createMemo(() => tree(environments.list(), filter()));
  const p = () => project.data()?.project;
  return (
    <Page
      title={params.project}
      crumbs={[{ text: "Home", href: "/" }]}
      heading={
        <>
          <Show when={p()}>{(x) => <Glyph hash={x().id.replaceAll("-", "").slice(-12)} size={22} />}</Show>
          {params.project}
        </>
      }
      sub={
        <Show when={p()} fallback={<span>&nbsp;</span>}>
          {(x) => (
            <>
              <span>{count(x().environments.totalCount, "environment")}</span>
              <Show when={x().source}>
                <span aria-hidden="true">·</span>
                <span class="cut">from {x().source}</span>
              </Show>
              <span aria-hidden="true">·</span>
              <span>
                made <Time at={x().createdAt} />
              </span>
            </>
          )}
        </Show>
      }
    >
      <Show when={project.error()}>{(e) => <Problem error={e()} retry={project.refetch} />}</Show>
      <nav class="tabs" aria-label="Views">
        <A href={`/p/${params.project}`} end>
          Branches
        </A>
        <A href={`/p/${params.project}/table`}>Table</A>
        <A href={`/p/${params.project}/graph`}>Lineage</A>
        <Show when={p()?.readme}>
          <A href={`/p/${params.project}/readme`}>Readme</A>
        </Show>
      </nav>
      <Switch>
        <Match when={params.view === "graph"}>
          <Graph project={params.project} order={tree(environments.list()).map((r) => r.item.ref)} />
        </Match>
        <Match when={params.view === "readme"}>
          <Show when={p()?.readme} fallback={<p class="muted small">{p() ? "The code has no readme." : ""}</p>}>
            {(r) => <Readme path={r().path} text={r().text} />}
          </Show>
        </Match>
        <Match when={true}>
          <Card>
            <header>
              <label class="filter">
                <Icon name="search" size={14} />
                <span class="unseen">Filter</span>
                <input
                  class="input"
                  type="search"
                  placeholder="Filter by name or package"
                  value={filter()}
                  onInput={(e) => setFilter(e.currentTarget.value)}
                />
              </label>
              <span class="faint tiny num">
                <Show when={filter()} fallback={<Show when={environments.loading()}>loading…</Show>}>
                  {count(rows().filter((r) => r.matches).length, "match", "matches")}
                </Show>
              </span>
            </header>
            <Show
              when={rows().length || environments.loading()}
              fallback={
                <Empty icon="search" title="No environment is called like that">
                  <p class="muted">The filter looks at names, and at packages with their versions.</p>
                </Empty>
              }
            >
              <Show when={params.view === "table"} fallback={<BranchList rows={rows()} />}>
                <BranchTable items={rows().flatMap((r) => (r.matches ? [r.item] : []))} />
              </Show>
            </Show>
          </Card>
        </Match>
      </Switch>
      <Commands
        of={[
          ["List them", ["list", "--project", params.project]],
          ["Find some", ["list", "--match", filter() || "WORDS"]],
          ["Branch one", ["branch", `${params.project}/ENVIRONMENT`, "NAME"]],
          ["Draw their lineage", ["log", "--graph", "--project", params.project]],
          ["Run a command in several, side by side", ["run", "ENVIRONMENT", "ENVIRONMENT", "--", "env"]],
        ]}
      />
    </Page>
  );
}
