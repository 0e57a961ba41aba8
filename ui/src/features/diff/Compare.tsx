import { useSearchParams } from "@solidjs/router";
import { createMemo, createSignal, For, Show } from "solid-js";
import { gql } from "../../api/gql";
import { live } from "../../api/live";
import type { CompareQuery, CompareQueryVariables, DiffKind, OthersQuery, OthersQueryVariables } from "../../api/types";
import { ChangeList } from "../../components/ChangeList";
import { Cli } from "../../components/Cli";
import { bytes, growth } from "../../components/format";
import { Hash } from "../../components/Hash";
import { Icon } from "../../components/Icon";
import { Card } from "../../components/Page";
import { Bones, Empty, Problem } from "../../components/States";
import type { Env } from "../environment/queries";

const CompareDoc = gql<CompareQuery, CompareQueryVariables>(/* GraphQL */ `
  query Compare($from: String!, $to: String!) {
    diff(from: $from, to: $to) {
      fromRef toRef unbuilt
      from { id hash manifestHash }
      to { id hash manifestHash }
      changes { op path from to }
      closure {
        growth
        from { paths size }
        to { paths size }
        packages { kind name from to fromSize toSize asked }
        paths { kind name fromVersion toVersion growth via from to }
      }
    }
  }
`);

export const OthersDoc = gql<OthersQuery, OthersQueryVariables>(/* GraphQL */ `
  query Others($project: String!) {
    environments(project: $project, first: 500) { nodes { id ref name } }
  }
`);

const kinds: Record<DiffKind, { word: string; tone: string }> = {
  ADDED: { word: "added", tone: "green" },
  REMOVED: { word: "removed", tone: "red" },
  UPGRADED: { word: "upgraded", tone: "blue" },
  DOWNGRADED: { word: "downgraded", tone: "amber" },
  REBUILT: { word: "rebuilt", tone: "" },
};

type Diff = CompareQuery["diff"];

/** What differs between an environment and another one: in words, then in packages, then in store paths. */
export function Compare(props: { env: Env }) {
  const [search, setSearch] = useSearchParams<{ from?: string; to?: string }>();
  const from = () => search.from ?? props.env.parent?.ref ?? "";
  const to = () => search.to ?? props.env.ref;
  const others = live(
    OthersDoc,
    () => ({ project: props.env.projectSlug }),
    (e) => e.kind.startsWith("environment."),
  );
  const diff = live(
    CompareDoc,
    () => ({ from: from(), to: to() }),
    (e) => e.environmentId === props.env.id,
  );
  return (
    <div class="stack">
      <div class="row wrap compare-bar">
        <span class="muted small">From</span>
        <select
          class="input slim"
          aria-label="Compare with"
          value={from()}
          onChange={(e) => setSearch({ from: e.currentTarget.value || undefined, to: undefined })}
        >
          <option value="">the version before</option>
          <Show when={search.from && !others.data()?.environments.nodes.some((o) => o.ref === search.from)}>
            <option value={search.from}>{search.from}</option>
          </Show>
          <For each={others.data()?.environments.nodes.filter((o) => o.id !== props.env.id)}>
            {(o) => (
              <option value={o.ref} selected={o.ref === from()}>
                {o.name}
              </option>
            )}
          </For>
        </select>
        <span class="muted small">to</span>
        <span class="tag">
          <b>{search.to ?? props.env.name}</b>
        </span>
      </div>
      <Show when={diff.error()}>{(e) => <Problem error={e()} retry={diff.refetch} />}</Show>
      <Show
        when={diff.data()?.diff}
        fallback={
          <Show when={!diff.error()}>
            <div class="card">
              <Bones lines={5} />
            </div>
          </Show>
        }
      >
        {(d) => <Result diff={d()} />}
      </Show>
      <Cli args={from() ? ["diff", from(), to()] : ["diff", to()]} />
    </div>
  );
}

function Result(props: { diff: Diff }) {
  const d = () => props.diff;
  const same = () => d().from?.manifestHash === d().to.manifestHash;
  return (
    <>
      <Card
        title="What was decided"
        end={
          <span class="row">
            <Show when={d().from}>{(f) => <Hash hash={f().manifestHash} />}</Show>
            <span class="faint" aria-hidden="true">
              →
            </span>
            <Hash hash={d().to.manifestHash} />
          </span>
        }
      >
        <Show
          when={d().changes.length}
          fallback={
            <p class="body muted small">
              {same() ? "The two have the same content, and so the same hash." : "The manifests say the same."}
            </p>
          }
        >
          <div class="body">
            <ChangeList changes={d().changes} />
          </div>
        </Show>
      </Card>
      <Show when={d().unbuilt.length}>
        <div class="notice amber">
          <Icon name="layers" />
          <p>{d().unbuilt.join(" and ")} must be built before packages and sizes can be compared.</p>
        </div>
      </Show>
      <Show when={d().closure}>{(c) => <Closure closure={c()} />}</Show>
    </>
  );
}

function Closure(props: { closure: NonNullable<Diff["closure"]> }) {
  const c = () => props.closure;
  const [all, setAll] = createSignal(false);
  const largest = createMemo(() => Math.max(1, ...c().packages.map((p) => Math.max(p.fromSize, p.toSize))));
  const asked = createMemo(() => c().packages.toSorted((a, b) => Number(b.asked) - Number(a.asked)));
  return (
    <>
      <div class="figures">
        <Figure
          name="Size"
          value={bytes(c().to.size)}
          note={growth(c().growth)}
          tone={c().growth > 0 ? "amber" : "green"}
        />
        <Figure
          name="Store paths"
          value={c().to.paths.toLocaleString("en")}
          note={signed(c().to.paths - c().from.paths)}
        />
        <Figure name="Packages changed" value={String(c().packages.length)} />
      </div>
      <Card title="What it brings">
        <Show
          when={c().packages.length}
          fallback={
            <Empty icon="check" title="Not a single package differs">
              <p class="muted">Both have the same closure, byte for byte.</p>
            </Empty>
          }
        >
          <div class="scroll-x">
            <table class="table">
              <thead>
                <tr>
                  <th>Package</th>
                  <th>Before</th>
                  <th>After</th>
                  <th class="right">Size</th>
                  <th class="hide-small">
                    <span class="unseen">Size as bars</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                <For each={asked()}>
                  {(p) => (
                    <tr>
                      <td>
                        <span class="row">
                          <strong>{p.name}</strong>
                          <span class={`badge ${kinds[p.kind].tone}`}>{kinds[p.kind].word}</span>
                          <Show when={!p.asked}>
                            <span class="faint tiny hide-small">needed by others</span>
                          </Show>
                        </span>
                      </td>
                      <td class="mono num">{p.from.join(", ") || "—"}</td>
                      <td class="mono num">{p.to.join(", ") || "—"}</td>
                      <td class="right num">{growth(p.toSize - p.fromSize)}</td>
                      <td class="hide-small">
                        <svg
                          class="sizes"
                          width="120"
                          height="14"
                          role="img"
                          aria-label={`${bytes(p.fromSize)} to ${bytes(p.toSize)}`}
                        >
                          <rect class="before" y="1" height="5" rx="2" width={(120 * p.fromSize) / largest()} />
                          <rect class="after" y="8" height="5" rx="2" width={(120 * p.toSize) / largest()} />
                        </svg>
                      </td>
                    </tr>
                  )}
                </For>
              </tbody>
            </table>
          </div>
        </Show>
      </Card>
      <Show when={c().paths.length}>
        <Card
          title={`Store paths (${c().paths.length})`}
          end={
            <Show when={c().paths.length > 8}>
              <button type="button" class="btn small plain" onClick={() => setAll(!all())}>
                {all() ? "Show the largest" : "Show all"}
              </button>
            </Show>
          }
        >
          <div class="scroll-x">
            <table class="table">
              <tbody>
                <For each={all() ? c().paths : c().paths.slice(0, 8)}>
                  {(p) => (
                    <tr>
                      <td class="mono">
                        <span title={p.to || p.from}>{p.name}</span>
                      </td>
                      <td>
                        <span class={`badge ${kinds[p.kind].tone}`}>{kinds[p.kind].word}</span>
                      </td>
                      <td class="mono num muted">
                        {p.fromVersion}
                        {p.fromVersion && p.toVersion ? " → " : ""}
                        {p.toVersion}
                      </td>
                      <td class="faint tiny hide-small">
                        {p.via.length ? `for ${p.via.join(", ")}` : "the environment itself"}
                      </td>
                      <td class="right num">{growth(p.growth)}</td>
                    </tr>
                  )}
                </For>
              </tbody>
            </table>
          </div>
        </Card>
      </Show>
    </>
  );
}

const signed = (n: number) => (n > 0 ? `+${n}` : n < 0 ? `−${-n}` : "±0");

function Figure(props: { name: string; value: string; note?: string; tone?: string }) {
  return (
    <div class="figure">
      <span class="faint tiny">{props.name}</span>
      <span class="row">
        <b class="num">{props.value}</b>
        <Show when={props.note}>
          <span class={`badge ${props.tone ?? ""} num`}>{props.note}</span>
        </Show>
      </span>
    </div>
  );
}
