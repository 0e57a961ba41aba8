import { A, useLocation, useParams } from "@solidjs/router";
import { createEffect, createMemo, createSignal, For, on, onCleanup, Show } from "solid-js";
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
import { advance, inOrder, type Job } from "./jobs";
import { type Line, type Section, sections } from "./log";

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
      progress { job phase done total unit final }
      line { seq at text }
    }
  }
`);

const CancelDoc = gql<CancelBuildMutation, CancelBuildMutationVariables>(/* GraphQL */ `
  mutation CancelBuild($id: ID!) { cancelBuild(id: $id) { id } }
`);

export default function Build() {
  const params = useParams<{ id: string }>();
  const build = live(
    BuildDoc,
    () => ({ id: params.id }),
    (e) => e.buildId === params.id,
  );
  const [lines, setLines] = createSignal<Line[]>([]);
  const [jobs, setJobs] = createSignal<Job[]>([]);
  createEffect(
    on(
      () => params.id,
      (id) => {
        let seen = 0;
        let fresh: Line[] = []; // lines come in bursts
        let timer: ReturnType<typeof setTimeout> | undefined;
        const flush = () => {
          timer = undefined;
          const more = fresh;
          fresh = [];
          setLines((all) => [...all, ...more]);
        };
        onCleanup(() => clearTimeout(timer));
        setLines([]);
        setJobs([]);
        onCleanup(
          subscribe(
            UpdatesDoc,
            () => ({ id }),
            ({ buildUpdates: u }) => {
              // After a reconnect the log comes from its beginning again.
              if (u.line && u.line.seq > seen) {
                seen = u.line.seq;
                fresh.push(u.line);
                timer ??= setTimeout(flush, 50);
              }
              const p = u.progress;
              if (p) setJobs((all) => advance(all, p, Date.now()));
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
      <Show when={active() || jobs().length}>
        <Jobs jobs={jobs()} active={active()} />
      </Show>
      <Log lines={lines()} done={!active()} />
      <Show when={b()}>{(x) => <Cli args={["build", short(x().version.hash)]} />}</Show>
      <Show when={env()}>
        <A class="link small" href={`/e/${env()!.ref}`}>
          Back to {env()!.ref}
        </A>
      </Show>
    </Page>
  );
}

/** How far each store path is that has to be fetched or built. */
function Jobs(props: { jobs: Job[]; active: boolean }) {
  const [all, setAll] = createSignal(false);
  const list = createMemo(() => inOrder(props.jobs));
  const open = () => props.jobs.filter((j) => j.ended === undefined).length;
  return (
    <Card
      title="Store paths"
      end={
        <span class="faint tiny num" role="status">
          {props.jobs.length === 0
            ? "waiting for its turn"
            : open() && props.active
              ? `${props.jobs.length - open()} of ${props.jobs.length} done`
              : `${props.jobs.length} done`}
        </span>
      }
    >
      <Show
        when={list().length}
        fallback={
          <div class="body">
            <div class="bar vague">
              <i />
            </div>
          </div>
        }
      >
        <ul class="list">
          <For each={list().slice(0, all() ? undefined : 8)}>
            {(j) => {
              const runs = () => j.ended === undefined && props.active;
              return (
                <li class="item slim job">
                  <i class={`dot ${runs() ? "amber beat" : "green"}`} />
                  <span class="cut small grow">{j.job}</span>
                  <span class="faint tiny">{j.phase}</span>
                  <Show when={j.total > 0}>
                    <span class="faint tiny num">
                      {amount(j.done, j.unit)} of {amount(j.total, j.unit)}
                    </span>
                  </Show>
                  <Show when={!runs() && j.ended}>
                    {(t) => <span class="faint tiny num">{duration(t() - j.began)}</span>}
                  </Show>
                  <Show when={runs()}>
                    <span class="bar" classList={{ vague: !j.total }}>
                      <i style={j.total ? { width: `${(100 * j.done) / j.total}%` } : undefined} />
                    </span>
                  </Show>
                </li>
              );
            }}
          </For>
        </ul>
        <Show when={list().length > 8}>
          <div class="card-foot">
            <Button small look="plain" onClick={() => setAll(!all())}>
              {all() ? "Show fewer" : `Show all ${list().length}`}
            </Button>
          </div>
        </Show>
      </Show>
    </Card>
  );
}

const amount = (n: number, unit: string) => (unit === "B" ? bytes(n) : n.toLocaleString("en"));

const most = 200; // lines of a part at first

function Log(props: { lines: Line[]; done: boolean }) {
  const location = useLocation();
  const [closed, setClosed] = createSignal<Record<string, boolean>>({});
  const parts = createMemo<Section[]>((before) => sections(props.lines, before), []);
  const marked = () => location.hash.slice(1);
  // A long part shows its end, unless somebody wants all of it or a line of it is linked to.
  const [whole, setWhole] = createSignal<Record<string, boolean>>({});
  const seen = (part: Section) =>
    part.lines.length <= most || whole()[part.key] || part.lines.some((l) => `L${l.seq}` === marked())
      ? part.lines
      : part.lines.slice(-most);
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
    <Card
      title="Log"
      end={
        <span class="row">
          <Show when={parts().length > 1}>
            <Button
              small
              look="plain"
              onClick={() =>
                setClosed(
                  parts().every((p) => closed()[p.key]) ? {} : Object.fromEntries(parts().map((p) => [p.key, true])),
                )
              }
            >
              {parts().every((p) => closed()[p.key]) ? "Unfold all" : "Fold all"}
            </Button>
          </Show>
          <span class="faint tiny num">{props.lines.length.toLocaleString("en")} lines</span>
        </span>
      }
    >
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
                <Show when={!closed()[part.key] || part.lines.some((l) => `L${l.seq}` === marked())}>
                  <Show when={seen(part).length < part.lines.length}>
                    <button
                      type="button"
                      class="log-more"
                      onClick={() => setWhole((w) => ({ ...w, [part.key]: true }))}
                    >
                      {part.lines.length - seen(part).length} lines before
                    </button>
                  </Show>
                  <For each={seen(part)}>
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
