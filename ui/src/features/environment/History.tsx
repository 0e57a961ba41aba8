import { A } from "@solidjs/router";
import { createSignal, For, Show } from "solid-js";
import { live } from "../../api/live";
import { Button } from "../../components/Button";
import { ChangeList } from "../../components/ChangeList";
import { short } from "../../components/format";
import { Glyph } from "../../components/Hash";
import { Card } from "../../components/Page";
import { Loaded } from "../../components/States";
import { BuildBadge } from "../../components/Status";
import { Time } from "../../components/Time";
import { RollbackDialog } from "../merge/RollbackDialog";
import { type Env, HistoryDoc } from "./queries";

/** The versions of an environment, newest first, with what each changed. */
export function History(props: { env: Env; onBranchFrom: (hash: string) => void }) {
  const history = live(
    HistoryDoc,
    () => ({ ref: props.env.ref }),
    (e) => e.environmentId === props.env.id,
  );
  const [back, setBack] = createSignal<string>();
  return (
    <Card>
      <Show when={back()}>
        {(to) => (
          <RollbackDialog
            environment={props.env.ref}
            head={props.env.head.hash}
            to={to()}
            onClose={() => setBack(undefined)}
          />
        )}
      </Show>
      <Loaded of={history} lines={5}>
        {(data) => (
          <ol class="list">
            <For each={data().environment?.versions.nodes}>
              {(v) => (
                <li class="version">
                  <div class="row">
                    <Glyph hash={v.manifestHash} size={18} />
                    <strong class="grow">{v.message}</strong>
                    <Show when={v.hash === props.env.head.hash}>
                      <span class="badge accent">head</span>
                    </Show>
                    <Show when={v.parents.length > 1}>
                      <span class="badge">merge</span>
                    </Show>
                    <Show when={v.builds[0]}>
                      {(b) => (
                        <A href={`/builds/${b().id}`}>
                          <BuildBadge status={b().status} />
                        </A>
                      )}
                    </Show>
                  </div>
                  <div class="row wrap faint tiny">
                    <span class="mono">{short(v.hash)}</span>
                    <span aria-hidden="true">·</span>
                    {v.author}
                    <span aria-hidden="true">·</span>
                    <Time at={v.createdAt} />
                    <span class="grow" />
                    <Show when={v.parents[0]}>
                      <A
                        class="btn small plain"
                        href={`/e/${props.env.ref}/compare?from=${short(v.parents[0]!)}&to=${short(v.hash)}`}
                      >
                        Compare
                      </A>
                    </Show>
                    <Show when={v.hash !== props.env.head.hash}>
                      <Button small look="plain" icon="undo" onClick={() => setBack(short(v.hash))}>
                        Roll back
                      </Button>
                    </Show>
                    <Button small look="plain" icon="branch" onClick={() => props.onBranchFrom(short(v.hash))}>
                      Branch from here
                    </Button>
                  </div>
                  <Show when={v.changes.length && v.parents.length}>
                    <ChangeList changes={v.changes} />
                  </Show>
                </li>
              )}
            </For>
          </ol>
        )}
      </Loaded>
    </Card>
  );
}
