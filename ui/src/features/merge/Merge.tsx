import { useNavigate, useSearchParams } from "@solidjs/router";
import { createMemo, createSignal, For, Show } from "solid-js";
import { request } from "../../api/client";
import { live } from "../../api/live";
import type { MergePreviewQuery, ResolutionInput, Take } from "../../api/types";
import { Button } from "../../components/Button";
import { ChangeList } from "../../components/ChangeList";
import { Cli } from "../../components/Cli";
import { Icon } from "../../components/Icon";
import { Card } from "../../components/Page";
import { Bones, Empty, Problem } from "../../components/States";
import { toast, toastError } from "../../components/Toasts";
import { OthersDoc } from "../diff/Compare";
import type { Env } from "../environment/queries";
import { MergeDoc, PreviewDoc } from "./queries";

type Conflict = MergePreviewQuery["mergePreview"]["conflicts"][number];

/** Merges another environment into this one: what would come of it first, conflicts side by side. */
export function Merge(props: { env: Env }) {
  const navigate = useNavigate();
  const [search, setSearch] = useSearchParams<{ from?: string }>();
  const from = () => search.from ?? "";
  const [takes, setTakes] = createSignal<Record<string, { take: Take; value: string }>>({});
  const [busy, setBusy] = createSignal(false);
  const others = live(
    OthersDoc,
    () => ({ project: props.env.projectSlug }),
    (e) => e.kind.startsWith("environment."),
  );
  const resolutions = createMemo((): ResolutionInput[] =>
    Object.entries(takes()).map(([path, t]) => ({ path, take: t.take, value: t.value })),
  );
  // Conflicts are asked for without the decisions, so that each stays to be seen and changed.
  const conflicts = live(PreviewDoc, () => (from() ? { input: { from: from(), into: props.env.ref } } : undefined));
  const result = live(PreviewDoc, () =>
    from() ? { input: { from: from(), into: props.env.ref, resolutions: resolutions() } } : undefined,
  );
  const preview = () => result.data()?.mergePreview;
  const open = () => preview()?.conflicts ?? [];
  const merge = async () => {
    setBusy(true);
    try {
      const { merge: m } = await request(MergeDoc, {
        input: { from: from(), into: props.env.ref, resolutions: resolutions(), expectedHead: props.env.head.hash },
      });
      if (m.outcome === "CONFLICTS") toast("It conflicts after all", "red", "One of the two has changed meanwhile.");
      else if (m.outcome === "BUILDING" && m.build) {
        toast("The result is being built", "blue", "The head moves once it is.");
        navigate(`/builds/${m.build.id}`);
      } else {
        toast(`Merged ${from()} into ${props.env.ref}`);
        navigate(`/e/${props.env.ref}/history`);
      }
    } catch (e) {
      toastError(e);
    } finally {
      setBusy(false);
    }
  };
  // A reference may be short; the list has whole ones.
  const chosen = () =>
    others.data()?.environments.nodes.find((o) => o.ref === from() || o.name === from() || o.id === from())?.ref ?? "";
  const cli = () => ["merge", from() || "ENVIRONMENT", "--into", props.env.ref];
  return (
    <div class="stack">
      <div class="row wrap compare-bar">
        <span class="muted small">Merge</span>
        <select
          class="input slim"
          aria-label="Merge from"
          value={chosen()}
          onChange={(e) => {
            setTakes({});
            setSearch({ from: e.currentTarget.value || undefined });
          }}
        >
          <option value="">choose an environment</option>
          <For each={others.data()?.environments.nodes.filter((o) => o.id !== props.env.id)}>
            {(o) => (
              <option value={o.ref} selected={o.ref === chosen()}>
                {o.name}
              </option>
            )}
          </For>
        </select>
        <span class="muted small">into</span>
        <span class="tag">
          <b>{props.env.name}</b>
        </span>
      </div>
      <Show
        when={from()}
        fallback={
          <Card>
            <Empty icon="merge" title="Bring another environment's changes here">
              <p class="muted">
                What both changed in different ways is yours to decide. The result is built before the head moves, so an
                environment that works stays one that works.
              </p>
            </Empty>
          </Card>
        }
      >
        <Show when={result.error() ?? conflicts.error()}>{(e) => <Problem error={e()} retry={result.refetch} />}</Show>
        <Show
          when={conflicts.data()}
          fallback={
            <Show when={!conflicts.error()}>
              <div class="card">
                <Bones />
              </div>
            </Show>
          }
        >
          {(c) => (
            <>
              <For each={c().mergePreview.conflicts}>
                {(conflict) => (
                  <ConflictCard
                    conflict={conflict}
                    ours={props.env.name}
                    theirs={from().split("/").pop() ?? from()}
                    taken={takes()[conflict.path]}
                    onTake={(take, value = "") => setTakes((t) => ({ ...t, [conflict.path]: { take, value } }))}
                  />
                )}
              </For>
              <Show when={preview()}>
                {(p) => (
                  <Card
                    title="What it changes here"
                    end={
                      <span class={`badge ${p().outcome === "CONFLICTS" ? "amber" : "green"}`}>
                        {p().outcome === "UP_TO_DATE"
                          ? "nothing new"
                          : p().outcome === "CONFLICTS"
                            ? `${open().length} to decide`
                            : p().fastForward
                              ? "fast-forward"
                              : "merges cleanly"}
                      </span>
                    }
                  >
                    <Show
                      when={p().changes.length}
                      fallback={
                        <p class="body muted small">
                          {p().outcome === "CONFLICTS"
                            ? "Decide the conflicts above to see it."
                            : "It has all of that already."}
                        </p>
                      }
                    >
                      <div class="body">
                        <ChangeList changes={p().changes} />
                      </div>
                    </Show>
                  </Card>
                )}
              </Show>
              <div class="row wide wrap">
                <div class="grow">
                  <Cli args={cli()} />
                </div>
                <Button
                  look="primary"
                  icon="merge"
                  disabled={
                    busy() || !preview() || preview()?.outcome === "CONFLICTS" || preview()?.outcome === "UP_TO_DATE"
                  }
                  onClick={merge}
                >
                  {busy() ? "Merging…" : "Merge"}
                </Button>
              </div>
            </>
          )}
        </Show>
      </Show>
    </div>
  );
}

function ConflictCard(props: {
  conflict: Conflict;
  ours: string;
  theirs: string;
  taken: { take: Take; value: string } | undefined;
  onTake: (take: Take, value?: string) => void;
}) {
  const c = () => props.conflict;
  const side = (take: "OURS" | "THEIRS", name: string, value: string) => (
    <button type="button" class="side" aria-pressed={props.taken?.take === take} onClick={() => props.onTake(take)}>
      <span class="row wide">
        <span class="muted small">{name}</span>
        <Show when={props.taken?.take === take}>
          <span class="badge accent">
            <Icon name="check" size={12} /> taken
          </span>
        </Show>
      </span>
      <span class="mono value">{value || <i class="faint">removed</i>}</span>
    </button>
  );
  return (
    <Card
      title={
        <>
          <span class={props.taken ? "dot green" : "dot amber"} />
          <span class="mono">{c().path || "the two together"}</span>
        </>
      }
      end={
        <span class="faint tiny">
          was <span class="mono">{c().base || "not there"}</span>
        </span>
      }
    >
      <Show when={c().reason}>
        <p class="body small">{c().reason}</p>
      </Show>
      <div class="sides">
        {side("OURS", `${props.ours} (here)`, c().ours)}
        {side("THEIRS", props.theirs, c().theirs)}
        <label class="side">
          <span class="muted small">{c().kind === "TEXT" ? "the text as it should be" : "something else"}</span>
          <Show
            when={c().kind === "TEXT"}
            fallback={
              <input
                class="input slim mono"
                placeholder="another value"
                aria-label={`Another value for ${c().path}`}
                value={props.taken?.take === "VALUE" ? props.taken.value : ""}
                onChange={(e) => e.currentTarget.value && props.onTake("VALUE", e.currentTarget.value)}
              />
            }
          >
            <textarea
              class="input mono"
              rows={16}
              spellcheck={false}
              aria-label={`The text of ${c().path}`}
              value={props.taken?.take === "VALUE" ? props.taken.value : c().merged}
              onChange={(e) => e.currentTarget.value && props.onTake("VALUE", e.currentTarget.value)}
            />
          </Show>
        </label>
      </div>
    </Card>
  );
}
