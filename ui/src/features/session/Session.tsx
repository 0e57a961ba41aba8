import { A, useNavigate, useParams, useSearchParams } from "@solidjs/router";
import { createEffect, createMemo, createSignal, For, on, onCleanup, Show } from "solid-js";
import { createStore, reconcile } from "solid-js/store";
import { type ApiError, request } from "../../api/client";
import type { Doc } from "../../api/gql";
import { subscribe } from "../../api/live";
import { useShortcuts } from "../../app/keys";
import { ask } from "../../components/Ask";
import { Button } from "../../components/Button";
import { Commands } from "../../components/Commands";
import { bytes, short } from "../../components/format";
import { Hash } from "../../components/Hash";
import { Icon } from "../../components/Icon";
import { Menu, type MenuItem } from "../../components/Menu";
import { Card, Page } from "../../components/Page";
import { Bones, Problem } from "../../components/States";
import { SessionBadge } from "../../components/Status";
import { Time } from "../../components/Time";
import { toast, toastError } from "../../components/Toasts";
import { BranchDialog } from "../environment/BranchDialog";
import { readCanonical } from "../environment/canonical";
import { StartDoc } from "../environment/queries";
import { openCode } from "../preview/open";
import { Terminals } from "../terminal/Terminals";
import { SessionFiles } from "./Files";
import { ForkDialog } from "./ForkDialog";
import { Logs } from "./Logs";
import { Metrics } from "./Metrics";
import { Ports } from "./Ports";
import { HibernateDoc, RemoveDoc, ResumeDoc, StopDoc, type Update, UpdatesDoc } from "./queries";
import { Egress, Services } from "./Services";
import { Snapshots } from "./Snapshots";

export default function Session() {
  const params = useParams<{ project: string; env: string; number: string }>();
  const navigate = useNavigate();
  const [query] = useSearchParams<{ terminal?: string }>();
  const ref = () => `${params.project}/${params.env}/${params.number}`;
  const [state, setState] = createStore<{ update?: Update }>({});
  const [failure, setFailure] = createSignal<ApiError>();
  const [busy, setBusy] = createSignal("");
  createEffect(
    on(ref, (r) => {
      setState("update", undefined);
      setFailure(undefined);
      onCleanup(
        subscribe(
          UpdatesDoc,
          () => ({ ref: r }),
          ({ sessionUpdates: u }) => setState("update", reconcile(u, { key: "name" })),
          { error: setFailure },
        ),
      );
    }),
  );
  const s = () => state.update?.session;
  const machine = () => state.update?.machine;
  const status = () => s()?.status;
  const ports = () => machine()?.view.ports ?? [];
  const canonical = createMemo(() => {
    const text = s()?.version.canonical;
    return text ? readCanonical(text) : undefined;
  });

  const act = async <R, V>(what: string, doc: Doc<R, V>, variables: V, then?: (r: R) => void) => {
    setBusy(what);
    try {
      const r = await request(doc, variables);
      then?.(r);
    } catch (e) {
      toastError(e);
    } finally {
      setBusy("");
    }
  };
  const stop = () =>
    act("Stopping…", StopDoc, { ref: ref() }, () => toast(`Stopped ${ref()}`, "green", "Its disk stays."));
  const again = () => act("Starting…", StartDoc, { input: { ref: ref() } });
  const hibernate = () => act("Hibernating…", HibernateDoc, { ref: ref() }, () => toast(`${ref()} sleeps`, "blue"));
  const resume = () => act("Resuming…", ResumeDoc, { ref: ref() });
  const [forking, setForking] = createSignal(false);
  const [service, setService] = createSignal("");
  const showLog = (name: string) => {
    setService(name);
    document.getElementById("log")?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  };
  const remove = async () => {
    const yes = await ask({
      title: `Delete ${ref()}?`,
      text: "Its disk goes with it, and whatever is only there. Snapshots of it stay.",
      verb: "Delete it with its disk",
      cli: ["rm", ref()],
    });
    if (!yes) return;
    void act("Deleting…", RemoveDoc, { ref: ref() }, () => navigate(`/e/${params.project}/${params.env}`));
  };
  const runs = () => status() === "RUNNING";
  const canFork = () => (runs() || status() === "HIBERNATED" || status() === "STOPPED") && !s()?.throwaway;
  const over = () => status() === "STOPPED" || status() === "FAILED";
  const menu = (): MenuItem[] => [
    { icon: "moon", text: "Hibernate", run: () => void hibernate(), disabled: !runs() || s()?.throwaway },
    { icon: "stop", text: "Stop", run: () => void stop(), disabled: over() || status() === "STOPPING" },
    { icon: "trash", text: "Delete with its disk", run: () => void remove(), danger: true, disabled: !over() },
  ];
  const commands = (): [string, string[]][] => [
    ["Open a shell", ["shell", ref()]],
    ["Open it in VS Code", ["open", ref()]],
    ["Run a command", ["exec", ref(), "--", "env"]],
    ["Copy it, running", ["fork", ref(), "--count", "3"]],
    ["Take a snapshot", ["snapshot", ref()]],
    ["Put it to rest", ["hibernate", ref()]],
    ["Go on", ["resume", ref()]],
    ["See what it serves", ["preview", ref()]],
    ["Make a port one of yours", ["forward", ref(), String(ports()[0]?.port ?? 3000)]],
    ["Fetch a file", ["cp", `${ref()}:FILE`, "."]],
    ["Follow its log", ["logs", ref(), "--follow"]],
    ["Stop it", ["stop", ref()]],
    ["Delete it with its disk", ["rm", ref()]],
  ];
  const [branching, setBranching] = createSignal(false);
  useShortcuts([
    { keys: "b", text: "Branch its environment", run: () => s() && setBranching(true) },
    { keys: "f", text: "Fork this session", run: () => canFork() && setForking(true) },
    { keys: "e", text: "Its environment", run: () => navigate(`/e/${params.project}/${params.env}`) },
  ]);
  return (
    <Page
      title={ref()}
      crumbs={[
        { text: params.project, href: `/p/${params.project}` },
        { text: params.env, href: `/e/${params.project}/${params.env}` },
      ]}
      heading={
        <>
          Session {params.number}
          <Show when={s()}>{(x) => <SessionBadge status={x().status} />}</Show>
        </>
      }
      sub={
        <Show when={s()} fallback={<span>&nbsp;</span>}>
          {(x) => (
            <>
              <Hash hash={x().version.hash} />
              <Show when={x().isolation}>
                <span aria-hidden="true">·</span>
                <span class="row">
                  <Icon name="shield" size={13} />
                  {x().isolation}
                </span>
              </Show>
              <Show when={x().startedAt}>
                {(t) => (
                  <>
                    <span aria-hidden="true">·</span>
                    <span>
                      started <Time at={t()} />
                    </span>
                  </>
                )}
              </Show>
              <Show when={x().forkOf}>
                {(f) => (
                  <>
                    <span aria-hidden="true">·</span>
                    <A class="link" href={`/s/${f().ref}`}>
                      fork of {f().ref}
                    </A>
                  </>
                )}
              </Show>
            </>
          )}
        </Show>
      }
      actions={
        <Show when={s()}>
          <Show when={runs() || status() === "HIBERNATED"}>
            <Button icon="file" onClick={() => s() && void openCode(s()!.id)}>
              Open in VS Code
            </Button>
          </Show>
          <Show when={canFork()}>
            <Button icon="fork" disabled={busy() !== ""} onClick={() => setForking(true)}>
              Fork
            </Button>
          </Show>
          <Show when={runs()}>
            <Button icon="stop" disabled={busy() !== ""} onClick={stop}>
              {busy() === "Stopping…" ? busy() : "Stop"}
            </Button>
          </Show>
          <Show when={status() === "HIBERNATED"}>
            <Button look="primary" icon="play" disabled={busy() !== ""} onClick={resume}>
              {busy() || "Resume"}
            </Button>
          </Show>
          <Show when={over()}>
            <Button look="primary" icon="play" disabled={busy() !== ""} onClick={again}>
              {busy() || "Start again"}
            </Button>
          </Show>
          <Menu label="More actions" items={menu()} />
        </Show>
      }
    >
      <Show when={branching() && s()}>
        {(x) => (
          <BranchDialog
            project={params.project}
            from={params.env}
            fromRef={short(x().version.hash)}
            edits={[]}
            onClose={() => setBranching(false)}
          />
        )}
      </Show>
      <Show when={forking()}>
        <ForkDialog sessionRef={ref()} onClose={() => setForking(false)} />
      </Show>
      <Show when={failure()}>{(e) => <Problem error={e()} />}</Show>
      <Show
        when={s()}
        fallback={
          <Show when={!failure()}>
            <div class="card">
              <Bones lines={6} />
            </div>
          </Show>
        }
      >
        {(x) => (
          <>
            <Show when={x().reason}>
              <div class={`notice ${status() === "FAILED" ? "red" : "blue"}`}>
                <Icon name={status() === "FAILED" ? "alert" : "clock"} />
                <p>{x().reason}</p>
              </div>
            </Show>
            <Show when={status() === "CREATING"}>
              <Starting update={state.update!} />
            </Show>
            <div class="columns">
              <div class="stack">
                <Show when={x().id} keyed>
                  {(id) => (
                    <Terminals
                      session={id}
                      sessionRef={ref()}
                      running={runs()}
                      terminals={machine()?.view.terminals ?? []}
                      initial={query.terminal}
                    />
                  )}
                </Show>
                <Logs
                  session={x().id}
                  generation={x().generation}
                  available={runs()}
                  services={machine()?.services.map((v) => v.name) ?? []}
                  service={service()}
                  onService={setService}
                />
                <Commands of={commands()} />
              </div>
              <div class="stack">
                <Services
                  session={x().id}
                  sessionRef={ref()}
                  services={machine()?.services ?? []}
                  running={runs()}
                  onLog={showLog}
                />
                <Ports
                  session={x().id}
                  sessionRef={ref()}
                  services={machine()?.services ?? []}
                  ports={ports()}
                  known={canonical()?.ports ?? {}}
                  running={runs()}
                />
                {/* What it is given may change to another session while it is shown. */}
                <Metrics
                  session={s()?.id ?? ""}
                  running={runs()}
                  cpus={canonical()?.resources.cpus ?? 0}
                  memory={(canonical()?.resources.memory_mib ?? 0) * 2 ** 20}
                />
                <Snapshots
                  environment={`${params.project}/${params.env}`}
                  session={ref()}
                  canTake={runs() || status() === "HIBERNATED" || status() === "STOPPED"}
                />
                <SessionFiles session={x().id} sessionRef={ref()} running={runs()} />
                <Show when={machine()?.egress}>{(e) => <Egress egress={e()} />}</Show>
                <Card title="Machine">
                  <dl class="facts">
                    <For each={x().version.packages}>
                      {(p) => (
                        <>
                          <dt>{p.name}</dt>
                          <dd class="num">{p.version}</dd>
                        </>
                      )}
                    </For>
                    <Show when={machine()?.start}>
                      {(how) => (
                        <>
                          <dt>Came up by</dt>
                          <dd title={machine()?.fallback}>{starts[how()] ?? how()}</dd>
                        </>
                      )}
                    </Show>
                    <Show when={canonical()}>
                      {(c) => (
                        <>
                          <dt>Resources</dt>
                          <dd class="num">
                            {c().resources.cpus} CPU, {bytes(c().resources.memory_mib * 2 ** 20)}
                          </dd>
                        </>
                      )}
                    </Show>
                  </dl>
                </Card>
                <Show when={machine()?.layers.length}>
                  <Card title="Store layers" end={<span class="faint tiny">shared, read-only</span>}>
                    <ul class="list">
                      <For each={machine()?.layers}>
                        {(l) => (
                          <li class="item slim" title={l.digest}>
                            <span class="grow cut small">{l.name}</span>
                            <span class="faint tiny num">{bytes(l.size)}</span>
                          </li>
                        )}
                      </For>
                    </ul>
                  </Card>
                </Show>
              </div>
            </div>
          </>
        )}
      </Show>
    </Page>
  );
}

const starts: Record<string, string> = {
  boot: "booting",
  template: "a template's memory",
  resume: "its own memory",
  snapshot: "a snapshot",
};

function Starting(props: { update: Update }) {
  const p = () => props.update.progress;
  return (
    <div class="card body stack tight" role="status">
      <div class="row wide small">
        <strong>{p()?.phase || props.update.machine?.phase || "waiting for its machine"}</strong>
        <Show when={p()?.total}>
          <span class="faint tiny num">
            {p()!.unit === "B" ? `${bytes(p()!.done)} of ${bytes(p()!.total)}` : `${p()!.done} of ${p()!.total}`}
          </span>
        </Show>
      </div>
      <div class="bar" classList={{ vague: !p()?.total }}>
        <i style={p()?.total ? { width: `${(100 * p()!.done) / p()!.total}%` } : undefined} />
      </div>
    </div>
  );
}
