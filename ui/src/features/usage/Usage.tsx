import { A } from "@solidjs/router";
import { createSignal, For, onMount, Show } from "solid-js";
import { request } from "../../api/client";
import { gql } from "../../api/gql";
import { live } from "../../api/live";
import type { CollectMutation, CollectMutationVariables, UsageQuery } from "../../api/types";
import { ask } from "../../components/Ask";
import { Button } from "../../components/Button";
import { Commands } from "../../components/Commands";
import { bytes, count } from "../../components/format";
import { Card, Page } from "../../components/Page";
import { Bones, Loaded } from "../../components/States";
import { SessionBadge } from "../../components/Status";
import { Time } from "../../components/Time";
import { toast, toastError } from "../../components/Toasts";
import { readCanonical } from "../environment/canonical";
import { byEnvironment, taken } from "./add";

const UsageDoc = gql<UsageQuery>(/* GraphQL */ `
  query Usage {
    projects(first: 200) { totalCount nodes { id slug environments(first: 1) { totalCount } } }
    sessions(first: 200) {
      totalCount
      nodes { id ref status startedAt lastActivity version { id canonical } }
    }
    snapshots(all: true, first: 500) { totalCount nodes { id environmentRef size shared } }
  }
`);

const CollectDoc = gql<CollectMutation, CollectMutationVariables>(/* GraphQL */ `
  mutation Collect($input: CollectGarbageInput!) {
    collectGarbage(input: $input) {
      size failed
      items { kind name reason size lastUsed removed error }
    }
  }
`);

type Garbage = CollectMutation["collectGarbage"];

/** What machines, snapshots and what nothing needs any more take of the server. */
export default function Usage() {
  const usage = live(
    UsageDoc,
    () => ({}),
    (e) => /^(session|snapshot|project|environment)/.test(e.kind),
  );
  return (
    <Page title="Usage" sub={<span>What is taken on the server's machine.</span>}>
      <Loaded of={usage} lines={5}>
        {(d) => {
          const machines = () => taken(d().sessions.nodes);
          const snapshots = () => byEnvironment(d().snapshots.nodes);
          return (
            <>
              <div class="figures">
                <Figure name="Environments">
                  {d()
                    .projects.nodes.reduce((n, p) => n + p.environments.totalCount, 0)
                    .toLocaleString("en")}
                </Figure>
                <Figure name="Machines that run">{machines().running}</Figure>
                <Figure name="CPUs they may use">{machines().cpus}</Figure>
                <Figure name="Memory they may use">{bytes(machines().memory)}</Figure>
                <Figure name="Snapshots">{bytes(snapshots().reduce((n, s) => n + s.size, 0))}</Figure>
              </div>
              <Card title="Sessions">
                <Show
                  when={d().sessions.nodes.length}
                  fallback={<p class="body muted small">Nothing runs, and nothing is hibernated.</p>}
                >
                  <div class="scroll-x">
                    <table class="table">
                      <thead>
                        <tr>
                          <th>Session</th>
                          <th>State</th>
                          <th class="right">CPUs</th>
                          <th class="right">Memory</th>
                          <th class="right">Disk</th>
                          <th class="right">Last used</th>
                        </tr>
                      </thead>
                      <tbody>
                        <For each={d().sessions.nodes}>
                          {(s) => {
                            const r = readCanonical(s.version.canonical).resources;
                            return (
                              <tr>
                                <td>
                                  <A class="link" href={`/s/${s.ref}`}>
                                    {s.ref}
                                  </A>
                                </td>
                                <td>
                                  <SessionBadge status={s.status} />
                                </td>
                                <td class="right num">{r.cpus}</td>
                                <td class="right num">{bytes(r.memory_mib * 2 ** 20)}</td>
                                <td class="right num">{bytes(r.disk_mib * 2 ** 20)}</td>
                                <td class="right faint tiny">
                                  <Show when={s.lastActivity ?? s.startedAt} fallback="—">
                                    {(t) => <Time at={t()} />}
                                  </Show>
                                </td>
                              </tr>
                            );
                          }}
                        </For>
                      </tbody>
                    </table>
                  </div>
                </Show>
              </Card>
              <Show when={snapshots().length}>
                <Card title="Snapshots" end={<span class="faint tiny">without what they share</span>}>
                  <ul class="list">
                    <For each={snapshots().slice(0, 50)}>
                      {(s) => (
                        <li class="item slim">
                          <A class="link grow cut" href={`/e/${s.ref}`}>
                            {s.ref}
                          </A>
                          <span class="faint tiny num">{count(s.count, "snapshot")}</span>
                          <span class="small num">{bytes(s.size)}</span>
                        </li>
                      )}
                    </For>
                  </ul>
                </Card>
              </Show>
            </>
          );
        }}
      </Loaded>
      <Collect />
      <Commands
        of={[
          ["List sessions", ["list", "sessions"]],
          ["List snapshots", ["snapshots", "list"]],
          ["See what could go", ["gc", "--keep-sessions", "--dry-run"]],
          ["Remove it", ["gc", "--keep-sessions"]],
        ]}
      />
    </Page>
  );
}

function Figure(props: { name: string; children: string | number }) {
  return (
    <div class="figure">
      <span class="muted tiny">{props.name}</span>
      <b class="num">{props.children}</b>
    </div>
  );
}

/** What nothing needs any more, and a way to be rid of it. */
function Collect() {
  const [found, setFound] = createSignal<Garbage>();
  const [busy, setBusy] = createSignal(false);
  const run = async (dryRun: boolean) => {
    setBusy(true);
    try {
      return (
        await request(CollectDoc, { input: { dryRun, olderThanSeconds: null, sessions: false, snapshots: false } })
      ).collectGarbage;
    } catch (e) {
      toastError(e);
    } finally {
      setBusy(false);
    }
  };
  const look = async () => setFound(await run(true));
  onMount(look);
  const remove = async () => {
    const yes = await ask({
      title: "Remove what nothing needs any more?",
      text: `${count(found()?.items.length ?? 0, "item")}, ${bytes(found()?.size ?? 0)}. What is in use stays; what an environment needs later is fetched or built again.`,
      verb: "Remove it",
      cli: ["gc", "--keep-sessions"],
    });
    if (!yes) return;
    const done = await run(false);
    if (done) {
      const gone = done.items.filter((i) => i.removed).length;
      toast(`Removed ${count(gone, "item")}`, done.failed ? "red" : "green", `${bytes(done.size)} are free again.`);
    }
    await look();
  };
  return (
    <Card
      title="What nothing needs any more"
      end={
        <Button small icon="trash" disabled={busy() || !found()?.items.length} onClick={() => void remove()}>
          Remove
        </Button>
      }
    >
      <Show when={found()} fallback={<Bones lines={2} />}>
        {(g) => (
          <Show
            when={g().items.length}
            fallback={<p class="body muted small">Nothing older than 30 days: all is in use, or was of late.</p>}
          >
            <ul class="list">
              <For each={g().items.slice(0, 100)}>
                {(i) => (
                  <li class="item slim">
                    <span class="badge">{i.kind}</span>
                    <span class="grow cut small" title={i.name}>
                      {i.name}
                    </span>
                    <span class="faint tiny hide-small">{i.reason}</span>
                    <span class="small num">{bytes(i.size)}</span>
                  </li>
                )}
              </For>
            </ul>
          </Show>
        )}
      </Show>
    </Card>
  );
}
