import { A, useNavigate } from "@solidjs/router";
import { createSignal, For, Show } from "solid-js";
import { request } from "../../api/client";
import { gql } from "../../api/gql";
import { live } from "../../api/live";
import type {
  RemoveSnapshotMutation,
  RemoveSnapshotMutationVariables,
  RestoreSnapshotMutation,
  RestoreSnapshotMutationVariables,
  SnapshotsQuery,
  SnapshotsQueryVariables,
} from "../../api/types";
import { ask } from "../../components/Ask";
import { Button } from "../../components/Button";
import { Cli } from "../../components/Cli";
import { bytes } from "../../components/format";
import { Menu } from "../../components/Menu";
import { Card } from "../../components/Page";
import { Loaded } from "../../components/States";
import { Time } from "../../components/Time";
import { toast, toastError } from "../../components/Toasts";
import { SnapshotDoc } from "./queries";

const SnapshotsDoc = gql<SnapshotsQuery, SnapshotsQueryVariables>(/* GraphQL */ `
  query Snapshots($of: String!) {
    snapshots(of: $of, first: 100) {
      totalCount
      nodes { id ref name sessionRef state memory consistency size shared pauseMs createdAt }
    }
  }
`);
const RestoreDoc = gql<RestoreSnapshotMutation, RestoreSnapshotMutationVariables>(/* GraphQL */ `
  mutation RestoreSnapshot($ref: String!) { restoreSnapshot(input: { ref: $ref }) { id ref } }
`);
const RemoveDoc = gql<RemoveSnapshotMutation, RemoveSnapshotMutationVariables>(/* GraphQL */ `
  mutation RemoveSnapshot($ref: String!) { removeSnapshot(ref: $ref) { id } }
`);

type Snapshot = SnapshotsQuery["snapshots"]["nodes"][number];

/** The snapshots of an environment's sessions: take one, go on from one, delete one. */
export function Snapshots(props: { environment: string; session: string; canTake: boolean }) {
  const navigate = useNavigate();
  const snapshots = live(
    SnapshotsDoc,
    () => ({ of: props.environment }),
    (e) => /snapshot|session/.test(e.kind),
  );
  const [name, setName] = createSignal("");
  const [busy, setBusy] = createSignal("");
  const doing = async (what: string, work: () => Promise<void>) => {
    setBusy(what);
    try {
      await work();
      await snapshots.refetch();
    } catch (e) {
      toastError(e);
      await snapshots.refetch();
    } finally {
      setBusy("");
    }
  };
  const take = (e: SubmitEvent) => {
    e.preventDefault();
    void doing("take", async () => {
      const { takeSnapshot: t } = await request(SnapshotDoc, { session: props.session, name: name().trim() });
      setName("");
      toast(`Snapshot ${t.ref}`, "green", `${bytes(t.size)}; the machine stood still for ${Math.round(t.pauseMs)} ms.`);
    });
  };
  const restore = (s: Snapshot) =>
    doing(s.id, async () => {
      const { restoreSnapshot: made } = await request(RestoreDoc, { ref: s.ref });
      toast(`${made.ref} goes on from ${s.ref}`);
      navigate(`/s/${made.ref}`);
    });
  const remove = async (s: Snapshot) => {
    const yes = await ask({
      title: `Delete ${s.ref}?`,
      text: "Its memory and disk are gone after that. Sessions that began from it go on.",
      verb: "Delete",
      cli: ["snapshots", "rm", s.ref],
    });
    if (!yes) return;
    snapshots.patch((d) => {
      d.snapshots.nodes = d.snapshots.nodes.filter((x) => x.id !== s.id);
    });
    await doing(s.id, () => request(RemoveDoc, { ref: s.ref }).then(() => toast(`Deleted ${s.ref}`)));
  };
  return (
    <Card
      title="Snapshots"
      end={
        <Show when={snapshots.data()?.snapshots.totalCount}>{(n) => <span class="faint tiny num">{n()}</span>}</Show>
      }
    >
      <Loaded of={snapshots} lines={1}>
        {(data) => (
          <Show
            when={data().snapshots.nodes.length}
            fallback={
              <p class="body muted small">
                A snapshot is memory, devices and disk in one moment. Start from it as often as you like.
              </p>
            }
          >
            <ul class="list">
              <For each={data().snapshots.nodes}>
                {(s) => (
                  <li class="item">
                    <span class="grow">
                      <strong class="cut block">@{s.name}</strong>
                      <span class="faint tiny block">
                        {bytes(s.size - s.shared)} of its own ·{" "}
                        {s.memory ? "memory and disk" : `disk, ${s.consistency}`}
                      </span>
                      <span class="faint tiny block">
                        <Show when={s.sessionRef !== props.session} fallback="of this session">
                          of{" "}
                          <A class="link" href={`/s/${s.sessionRef}`}>
                            {s.sessionRef.split("/").slice(1).join("/")}
                          </A>
                        </Show>{" "}
                        · <Time at={s.createdAt} />
                      </span>
                    </span>
                    <Show
                      when={s.state === "READY"}
                      fallback={
                        <span class={`badge ${s.state === "LOST" ? "red" : "amber"}`}>
                          {s.state === "LOST" ? "lost" : "being taken"}
                        </span>
                      }
                    >
                      <Button
                        small
                        icon="play"
                        disabled={busy() !== ""}
                        aria-label={`Restore ${s.name} in a new session`}
                        onClick={() => void restore(s)}
                      />
                    </Show>
                    <Menu
                      small
                      label={`More about ${s.name}`}
                      items={[
                        {
                          icon: "copy",
                          text: "Copy the command that restores it",
                          copy: ["restore", s.ref],
                        },
                        { icon: "trash", text: "Delete it", run: () => void remove(s), danger: true },
                      ]}
                    />
                  </li>
                )}
              </For>
            </ul>
          </Show>
        )}
      </Loaded>
      <form class="add-package" onSubmit={take}>
        <input
          class="input slim"
          placeholder="Name, or none"
          aria-label="Name of the snapshot"
          spellcheck={false}
          autocomplete="off"
          value={name()}
          onInput={(e) => setName(e.currentTarget.value)}
        />
        <Button small icon="layers" type="submit" disabled={!props.canTake || busy() !== ""}>
          {busy() === "take" ? "Taking…" : "Take one"}
        </Button>
      </form>
      <div class="card-foot">
        <Cli args={["snapshot", props.session, ...(name().trim() ? ["--name", name().trim()] : [])]} />
      </div>
    </Card>
  );
}
