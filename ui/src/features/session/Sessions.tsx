import { createSignal, For, Show } from "solid-js";
import { gql } from "../../api/gql";
import { live } from "../../api/live";
import type { SessionsQuery, SessionsQueryVariables } from "../../api/types";
import { Cli } from "../../components/Cli";
import { Card, Page } from "../../components/Page";
import { Empty, Loaded } from "../../components/States";
import { SessionFields, SessionRow } from "./SessionRow";

const SessionsDoc = gql<SessionsQuery, SessionsQueryVariables>(
  /* GraphQL */ `
  query Sessions($all: Boolean!) {
    sessions(all: $all, first: 200) {
      totalCount
      nodes { ...SessionFields }
    }
  }
`,
  [SessionFields],
);

export default function Sessions() {
  const [all, setAll] = createSignal(false);
  const sessions = live(
    SessionsDoc,
    () => ({ all: all() }),
    (e) => e.kind.startsWith("session."),
  );
  return (
    <Page
      title="Sessions"
      actions={
        <fieldset class="segmented" aria-label="Which sessions">
          <button type="button" aria-pressed={!all()} onClick={() => setAll(false)}>
            Live
          </button>
          <button type="button" aria-pressed={all()} onClick={() => setAll(true)}>
            All
          </button>
        </fieldset>
      }
    >
      <Card>
        <Loaded of={sessions}>
          {(data) => (
            <Show
              when={data().sessions.nodes.length}
              fallback={
                <Empty icon="terminal" title={all() ? "No session has ever run" : "Nothing runs"}>
                  <p class="muted">
                    A session is a microVM of one version of an environment, with its services and its own disk.
                  </p>
                  <Cli args={["start", "shop"]} />
                </Empty>
              }
            >
              <ul class="list">
                <For each={data().sessions.nodes}>
                  {(s) => (
                    <li>
                      <SessionRow session={s} />
                    </li>
                  )}
                </For>
              </ul>
            </Show>
          )}
        </Loaded>
      </Card>
      <Cli args={["list", "sessions"]} />
    </Page>
  );
}
