import { A, useLocation, useParams } from "@solidjs/router";
import { createEffect, createMemo, createSignal, For, on, onCleanup, Show } from "solid-js";
import { createStore } from "solid-js/store";
import { request } from "../../api/client";
import { gql } from "../../api/gql";
import { live, subscribe } from "../../api/live";
import type {
  BuildQuery,
  BuildQueryVariables,
  BuildUpdatesSubscription,
  BuildUpdatesSubscriptionVariables,
  CancelBuildMutation,
  CancelBuildMutationVariables,
} from "../../api/types";
import { Button } from "../../components/Button";
import { Cli } from "../../components/Cli";
import { bytes, duration, short } from "../../components/format";
import { Hash } from "../../components/Hash";
import { Card, Page } from "../../components/Page";
import { Problem } from "../../components/States";
import { BuildBadge } from "../../components/Status";
import { Time } from "../../components/Time";
import { toastError } from "../../components/Toasts";
import { type Line, sections } from "./log";

const BuildDoc = gql<BuildQuery, BuildQueryVariables>(/* GraphQL */ `
  query Build($id: ID!) {
    build(id: $id) {
      id status error errorCode createdAt startedAt finishedAt
      version {
        id hash message seq
        environment { id ref name projectSlug }
        realisation { closureSize paths outPath }
      }
    }
  }
`);

const UpdatesDoc = gql<BuildUpdatesSubscription, BuildUpdatesSubscriptionVariables>(/* GraphQL */ `
  subscription BuildUpdates($id: ID!) {
    buildUpdates(id: $id) {
      build { id status }
      progress { phase done total unit final }
      line { seq at text }
    }
  }
`);

const CancelDoc = gql<CancelBuildMutation, CancelBuildMutationVariables>(/* GraphQL */ `
  mutation CancelBuild($id: ID!) { cancelBuild(id: $id) { id } }
`);

type Progress = NonNullable<BuildUpdatesSubscription["buildUpdates"]["progress"]>;

export default function Build() {
  const params = useParams<{ id: string }>();
  const build = live(
    BuildDoc,
    () => ({ id: params.id }),
    (e) => e.buildId === params.id,
  );
  const [lines, setLines] = createStore<Line[]>([]);
  const [progress, setProgress] = createSignal<Progress | null>(null);
  createEffect(
    on(
      () => params.id,
      (id) => {
        let seen = 0;
        setLines([]);
        setProgress(null);
        onCleanup(
          subscribe(
            UpdatesDoc,
            () => ({ id }),
            ({ buildUpdates: u }) => {
              // After a reconnect the log comes from its beginning again.
              if (u.line && u.line.seq > seen) {
                seen = u.line.seq;
                setLines(lines.length, u.line);
              }
              if (u.progress) setProgress(u.progress.final ? null : u.progress);
              if (u.build) void build.refetch();
            },
            { error: toastError },
          ),
        );
      },
    ),
  );
  const b = () => build.data()?.build;
  const env = () => b()?.version.environment;
  const active = () => b()?.status === "QUEUED" || b()?.status === "RUNNING";
  const cancel = () => request(CancelDoc, { id: params.id }).then(build.refetch, toastError);
  return (
    <Page
      title={`Build of ${env()?.ref ?? "…"}`}
      crumbs={
        env()
          ? [
              { text: env()!.projectSlug, href: `/p/${env()!.projectSlug}` },
              { text: env()!.name, href: `/e/${env()!.ref}` },
            ]
          : []
      }
      heading={
        <>
          Build
          <Show when={b()}>{(x) => <BuildBadge status={x().status} />}</Show>
        </>
      }
      sub={
        <Show when={b()} fallback={<span>&nbsp;</span>}>
          {(x) => (
            <>
              <Hash hash={x().version.hash} />
              <span class="cut">{x().version.message}</span>
              <span aria-hidden="true">·</span>
              <Time at={x().createdAt} />
              <Show when={x().startedAt && x().finishedAt}>
                <span aria-hidden="true">·</span>
                <span class="num">took {duration(Date.parse(x().finishedAt!) - Date.parse(x().startedAt!))}</span>
              </Show>
              <Show when={x().version.realisation}>
                {(r) => (
                  <>
                    <span aria-hidden="true">·</span>
                    <span class="num">
                      {bytes(r().closureSize)} in {r().paths} paths
                    </span>
                  </>
                )}
              </Show>
            </>
          )}
        </Show>
      }
      actions={
        <Show when={active()}>
          <Button look="danger" icon="stop" onClick={cancel}>
            Cancel
          </Button>
        </Show>
      }
    >
      <Show when={build.error()}>{(e) => <Problem error={e()} retry={build.refetch} />}</Show>
      <Show when={b()?.error}>
        <div class="notice red" role="alert">
          <div>
            <p>{b()?.error}</p>
            <p class="mono tiny">{b()?.errorCode}</p>
          </div>
        </div>
      </Show>
      <Show when={active()}>
        <div class="stack tight" role="status">
          <div class="row wide small">
            <span class="muted">{progress()?.phase || "waiting for its turn"}</span>
            <Show when={progress()?.total}>
              <span class="faint tiny num">
                {amount(progress()!.done, progress()!.unit)} of {amount(progress()!.total, progress()!.unit)}
              </span>
            </Show>
          </div>
          <div class="bar" classList={{ vague: !progress()?.total }}>
            <i style={progress()?.total ? { width: `${(100 * progress()!.done) / progress()!.total}%` } : undefined} />
          </div>
        </div>
      </Show>
      <Log lines={lines} done={!active()} />
      <Show when={b()}>{(x) => <Cli args={["build", short(x().version.hash)]} />}</Show>
      <Show when={env()}>
        <A class="link small" href={`/e/${env()!.ref}`}>
          Back to {env()!.ref}
        </A>
      </Show>
    </Page>
  );
}

const amount = (n: number, unit: string) => (unit === "B" ? bytes(n) : n.toLocaleString("en"));

function Log(props: { lines: Line[]; done: boolean }) {
  const location = useLocation();
  const [closed, setClosed] = createSignal<Record<string, boolean>>({});
  const parts = createMemo(() => sections([...props.lines]));
  const marked = () => location.hash.slice(1);
  let scrolled = "";
  createEffect(() => {
    props.lines.length;
    if (!marked() || scrolled === marked()) return;
    const line = document.getElementById(marked());
    if (!line) return;
    scrolled = marked();
    line.scrollIntoView({ block: "center" });
  });
  return (
    <Card title="Log" end={<span class="faint tiny num">{props.lines.length.toLocaleString("en")} lines</span>}>
      <Show
        when={props.lines.length}
        fallback={
          <p class="body muted small">
            {props.done ? "Nothing had to be done: everything was in the store already." : "No line yet."}
          </p>
        }
      >
        <div class="log" role="log" aria-label="Build log">
          <For each={parts()}>
            {(part) => (
              <section>
                <button
                  type="button"
                  class="log-part"
                  aria-expanded={!closed()[part.key]}
                  onClick={() => setClosed((c) => ({ ...c, [part.key]: !c[part.key] }))}
                >
                  <span class="chevron" aria-hidden="true" />
                  {part.title}
                  <span class="faint">{part.lines.length}</span>
                </button>
                <Show when={!closed()[part.key]}>
                  <For each={part.lines}>
                    {(line) => (
                      <div class="log-line" id={`L${line.seq}`} classList={{ marked: marked() === `L${line.seq}` }}>
                        <a href={`#L${line.seq}`} aria-label={`Line ${line.seq}`}>
                          {line.seq}
                        </a>
                        <span>{line.text}</span>
                      </div>
                    )}
                  </For>
                </Show>
              </section>
            )}
          </For>
        </div>
      </Show>
    </Card>
  );
}
