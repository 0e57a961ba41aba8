import { A, useNavigate } from "@solidjs/router";
import { createMemo, createSignal, For, Show } from "solid-js";
import { gql } from "../../api/gql";
import { live } from "../../api/live";
import type { GraphQuery, GraphQueryVariables } from "../../api/types";
import { useShortcuts } from "../../app/keys";
import { Button } from "../../components/Button";
import { ChangeList } from "../../components/ChangeList";
import { Cli } from "../../components/Cli";
import { short } from "../../components/format";
import { Glyph, glyphColour } from "../../components/Hash";
import { Card } from "../../components/Page";
import { Loaded } from "../../components/States";
import { sessionTone } from "../../components/Status";
import { Time } from "../../components/Time";
import { BranchDialog } from "../environment/BranchDialog";
import { type Edge, layout } from "./layout";

const GraphDoc = gql<GraphQuery, GraphQueryVariables>(/* GraphQL */ `
  query Graph($project: String!, $first: Int!) {
    log(project: $project, first: $first) {
      nodes {
        id hash parents seq message author createdAt environments tags
        changes { op path from to }
        version { id manifestHash }
      }
      pageInfo { hasNextPage }
    }
    sessions(first: 200) { nodes { id ref number status version { id hash } } }
  }
`);

const shown = 300; // versions
const row = 52;
const step = 64;
const left = 28;

type Version = GraphQuery["log"]["nodes"][number];

/** Where every environment of a project comes from: versions as dots, branches and merges as lines. */
export function Graph(props: { project: string; order: string[] }) {
  const data = live(GraphDoc, () => ({ project: props.project, first: shown }));
  const [picked, setPicked] = createSignal<string>();
  return (
    <div class="stack">
      <Card>
        <Loaded of={data} lines={6}>
          {(d) => <Drawing data={d()} order={props.order} picked={picked()} onPick={setPicked} />}
        </Loaded>
      </Card>
      <Show when={data.data()?.log.nodes.find((v) => v.hash === picked()) ?? data.data()?.log.nodes[0]}>
        {(v) => <Detail version={v()} project={props.project} />}
      </Show>
      <Show when={data.data()?.log.pageInfo.hasNextPage}>
        <p class="faint small">These are the newest {shown} versions.</p>
      </Show>
      <Cli args={["log", "--graph", "--project", props.project]} />
    </div>
  );
}

function Drawing(props: {
  data: GraphQuery;
  order: string[];
  picked: string | undefined;
  onPick: (hash: string) => void;
}) {
  const navigate = useNavigate();
  const g = createMemo(() => layout(props.data.log.nodes, props.order));
  const sessions = createMemo(() => {
    const of = new Map<string, GraphQuery["sessions"]["nodes"]>();
    for (const s of props.data.sessions.nodes) of.set(s.version.hash, [...(of.get(s.version.hash) ?? []), s]);
    return of;
  });
  const x = (column: number) => left + column * step;
  const y = (lane: number) => lane * row + row / 2;
  const path = (e: Edge) => {
    const [x1, y1, x2, y2] = [x(e.from.column), y(e.from.lane), x(e.to.column), y(e.to.lane)];
    if (e.kind === "line") return `M${x1} ${y1}H${x2}`;
    if (e.kind === "merge") return `M${x1} ${y1}C${x1 + step * 0.6} ${y1} ${x2 - step * 0.6} ${y2} ${x2} ${y2}`;
    const r = Math.sign(y2 - y1) * 12;
    return `M${x1} ${y1}V${y2 - r}Q${x1} ${y2} ${x1 + 12} ${y2}H${x2}`;
  };
  return (
    <div class="graph">
      <ol class="graph-names">
        <For each={g().lanes}>
          {(names) => (
            <li>
              <For each={names} fallback={<span class="faint small">gone</span>}>
                {(name) => (
                  <A href={`/e/${name}`} class="row" title={name}>
                    <Glyph
                      hash={props.data.log.nodes.find((v) => v.environments.includes(name))?.version.manifestHash ?? ""}
                    />
                    <strong class="cut">{name.split("/")[1]}</strong>
                  </A>
                )}
              </For>
            </li>
          )}
        </For>
      </ol>
      <div class="graph-scroll">
        {/* biome-ignore lint/a11y/useSemanticElements: a drawing is no fieldset */}
        <svg width={x(g().columns) + 40} height={g().lanes.length * row} role="group" aria-label="Lineage of versions">
          <For each={g().lanes}>
            {(_, i) => (
              <line class="graph-rule" x1="0" x2="100%" y1={(i() + 1) * row - 0.5} y2={(i() + 1) * row - 0.5} />
            )}
          </For>
          <For each={g().edges}>{(e) => <path class={`edge ${e.kind}`} d={path(e)} />}</For>
          <For each={g().nodes}>
            {(n) => (
              <>
                {/* biome-ignore lint/a11y/useSemanticElements: a button cannot stand in a drawing */}
                <g
                  class="station"
                  classList={{ picked: props.picked === n.version.hash, join: n.version.parents.length > 1 }}
                  role="button"
                  tabindex="0"
                  aria-label={[
                    ...n.version.tags.map((t) => t.split("/").pop()),
                    short(n.version.hash),
                    n.version.message,
                  ].join(", ")}
                  onClick={() => props.onPick(n.version.hash)}
                  onFocus={() => props.onPick(n.version.hash)}
                  onPointerEnter={() => props.onPick(n.version.hash)}
                  onKeyDown={(e) => {
                    const to = n.version.environments[0];
                    if (e.key === "Enter" && to) navigate(`/e/${to}`);
                  }}
                >
                  <rect x={x(n.column) - 14} y={y(n.lane) - 20} width="28" height="40" fill="transparent" />
                  <circle cx={x(n.column)} cy={y(n.lane)} r="7" fill={glyphColour(n.version.version.manifestHash)} />
                  <Show when={n.version.tags.length}>
                    <text x={x(n.column)} y={y(n.lane) - 12}>
                      {n.version.tags.map((t) => t.split("/").pop()).join(", ")}
                    </text>
                  </Show>
                </g>
                <For each={sessions().get(n.version.hash)}>
                  {(s, i) => (
                    // biome-ignore lint/a11y/useSemanticElements: an HTML link cannot stand in a drawing
                    <g
                      class="hanging"
                      role="link"
                      tabindex="0"
                      aria-label={`Session ${s.ref}`}
                      onClick={() => navigate(`/s/${s.ref}`)}
                      onKeyDown={(e) => e.key === "Enter" && navigate(`/s/${s.ref}`)}
                    >
                      <rect x={x(n.column) + 2 + i() * 24} y={y(n.lane) + 8} width="22" height="15" rx="4" />
                      <circle
                        class={sessionTone(s.status)}
                        cx={x(n.column) + 9 + i() * 24}
                        cy={y(n.lane) + 15.5}
                        r="3"
                      />
                      <text x={x(n.column) + 17.5 + i() * 24} y={y(n.lane) + 19}>
                        {s.number}
                      </text>
                    </g>
                  )}
                </For>
              </>
            )}
          </For>
        </svg>
      </div>
    </div>
  );
}

function Detail(props: { version: Version; project: string }) {
  const v = () => props.version;
  const [branching, setBranching] = createSignal(false);
  useShortcuts([{ keys: "b", text: "Branch from the version that is shown", run: () => setBranching(true) }]);
  return (
    <Card
      title={
        <>
          <Glyph hash={v().version.manifestHash} size={18} />
          {v().message}
        </>
      }
      end={
        <span class="row wrap">
          <Button small icon="branch" onClick={() => setBranching(true)}>
            Branch from here
          </Button>
          <Show when={v().environments[0]}>
            {(ref) => (
              <A class="link small" href={`/e/${ref()}`}>
                Open {ref().split("/")[1]}
              </A>
            )}
          </Show>
        </span>
      }
    >
      <Show when={branching()}>
        <BranchDialog
          project={props.project}
          from={v().environments[0]?.split("/")[1] ?? v().tags[0]?.split("/")[1] ?? props.project}
          fromRef={short(v().hash)}
          edits={[]}
          onClose={() => setBranching(false)}
        />
      </Show>
      <div class="body stack tight">
        <div class="row wrap faint tiny">
          <span class="mono">{short(v().hash)}</span>
          <span aria-hidden="true">·</span>
          {v().author}
          <span aria-hidden="true">·</span>
          <Time at={v().createdAt} />
          <For each={v().environments}>{(e) => <span class="badge accent">{e.split("/")[1]}</span>}</For>
          <For each={v().tags}>{(t) => <span class="badge">{t.split("/")[1]}</span>}</For>
        </div>
        <Show when={v().parents.length}>
          <ChangeList changes={v().changes} />
        </Show>
      </div>
    </Card>
  );
}
