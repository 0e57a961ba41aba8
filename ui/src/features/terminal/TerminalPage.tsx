import { useParams, useSearchParams } from "@solidjs/router";
import { createEffect, createSignal, on, onCleanup, Show } from "solid-js";
import { createStore, reconcile } from "solid-js/store";
import type { ApiError } from "../../api/client";
import { subscribe } from "../../api/live";
import { Problem } from "../../components/States";
import { type Update, UpdatesDoc } from "../session/queries";
import { Terminals } from "./Terminals";

/** A session's terminals alone, as large as the window. */
export default function TerminalPage() {
  const params = useParams<{ project: string; env: string; number: string }>();
  const [query] = useSearchParams<{ terminal?: string }>();
  const ref = () => `${params.project}/${params.env}/${params.number}`;
  const [state, setState] = createStore<{ update?: Update }>({});
  const [failure, setFailure] = createSignal<ApiError>();
  createEffect(
    on(ref, (r) => {
      document.title = `${r} · terminal · NixSpace`;
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
  return (
    <div class="terminal-page">
      <h1 class="unseen">Terminals of session {ref()}</h1>
      <Show when={failure()}>{(e) => <Problem error={e()} />}</Show>
      <Show when={state.update}>
        {(u) => (
          <Terminals
            full
            session={u().session.id}
            sessionRef={ref()}
            running={u().session.status === "RUNNING"}
            terminals={u().machine?.view.terminals ?? []}
            initial={query.terminal || "main"}
          />
        )}
      </Show>
    </div>
  );
}
