import { createEffect, For, on, Show } from "solid-js";
import { gql } from "../../api/gql";
import { live } from "../../api/live";
import type { EditInput, SuggestionsQuery, SuggestionsQueryVariables } from "../../api/types";
import { Button } from "../../components/Button";
import { copyCommand } from "../../components/Cli";
import { Card } from "../../components/Page";
import { words } from "./edits";

const SuggestionsDoc = gql<SuggestionsQuery, SuggestionsQueryVariables>(/* GraphQL */ `
  query Suggestions($ref: String!) {
    suggestions(ref: $ref) { number key kind path message evidence edits { op key value } }
  }
`);

const kinds: Record<string, { word: string; tone: string }> = {
  end_of_life: { word: "end of life", tone: "red" },
  conflict: { word: "conflict", tone: "red" },
  disagreement: { word: "disagreement", tone: "amber" },
  missing_service: { word: "missing", tone: "amber" },
  missing_package: { word: "missing", tone: "amber" },
  ends_soon: { word: "ends soon", tone: "amber" },
  unpinned: { word: "left open", tone: "blue" },
  unused: { word: "unused", tone: "" },
  smaller: { word: "smaller", tone: "" },
};

/** Reasons come with names set in backquotes, as people write them. */
const plain = (text: string) => text.replaceAll("`", "");

/** What could be better about an environment, and the branch that would do it. Nothing when nothing could. */
export function Suggestions(props: { environment: string; head: string; onBranch: (edits: EditInput[]) => void }) {
  const found = live(
    SuggestionsDoc,
    () => ({ ref: props.environment }),
    () => false,
  );
  createEffect(on([() => props.head], () => void found.refetch(), { defer: true }));
  return (
    <Show when={found.data()?.suggestions.length}>
      <Card
        title="Suggestions"
        end={
          <Button
            small
            look="plain"
            icon="copy"
            aria-label="Copy the command that lists them"
            onClick={() => void copyCommand(["suggest", props.environment])}
          />
        }
      >
        <ul class="list">
          <For each={found.data()?.suggestions}>
            {(s) => (
              <li class="suggestion">
                <div class="row wrap">
                  <span class={`badge ${kinds[s.kind]?.tone ?? ""}`}>{kinds[s.kind]?.word ?? s.kind}</span>
                  <span class="grow small">{plain(s.message)}</span>
                </div>
                <Show when={s.evidence.length}>
                  <details class="faint tiny">
                    <summary>Why</summary>
                    <ul>
                      <For each={s.evidence}>{(e) => <li>{plain(e)}</li>}</For>
                    </ul>
                  </details>
                </Show>
                <Show when={s.edits.length}>
                  <div class="row wrap">
                    <span class="row wrap chips grow">
                      <For each={s.edits}>{(e) => <span class="tag mono">{words(e)}</span>}</For>
                    </span>
                    <Button
                      small
                      icon="branch"
                      title={`nixspace suggest ${props.environment} --apply ${s.number} --branch NAME`}
                      onClick={() => props.onBranch(s.edits)}
                    >
                      Branch with this
                    </Button>
                  </div>
                </Show>
              </li>
            )}
          </For>
        </ul>
      </Card>
    </Show>
  );
}
