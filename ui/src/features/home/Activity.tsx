import { A } from "@solidjs/router";
import { For, Show } from "solid-js";
import type { Event } from "../../api/live";
import { Icon, type IconName } from "../../components/Icon";
import { Time } from "../../components/Time";
import { parts } from "./message";

const icons: [RegExp, IconName, string][] = [
  [/^build\.failed/, "alert", "red"],
  [/^build\.succeeded/, "check", "green"],
  [/^build/, "layers", ""],
  [/^session\.failed/, "alert", "red"],
  [/^session\.running/, "play", "green"],
  [/^session\.hibernated/, "moon", "blue"],
  [/^session/, "terminal", ""],
  [/changed/, "diff", "amber"],
  [/branched/, "branch", "accent"],
  [/merged/, "merge", "accent"],
  [/rolled|revert/, "undo", "amber"],
  [/snapshot/, "layers", "blue"],
  [/^project/, "box", "accent"],
];

/** What happened, newest first. */
export function Activity(props: { events: Event[]; limit?: number }) {
  const shown = () => props.events.slice(0, props.limit ?? 12);
  return (
    <ol class="activity">
      <For each={shown()}>
        {(e) => {
          const [, icon, tone] = icons.find(([kind]) => kind.test(e.kind)) ?? [null, "pulse" as IconName, ""];
          return (
            <li>
              <span class={`bullet ${tone}`}>
                <Icon name={icon} size={13} />
              </span>
              <span class="grow">
                <span class="says">
                  <For each={parts(e.message)}>
                    {(p) => (
                      <Show when={p.href} fallback={p.text}>
                        {(href) => <A href={href()}>{p.text}</A>}
                      </Show>
                    )}
                  </For>
                </span>
                <span class="faint tiny row">
                  {e.actor}
                  <span aria-hidden="true">·</span>
                  <Time at={e.at} />
                  <Show when={e.buildId && e.kind.startsWith("build.")}>
                    <span aria-hidden="true">·</span>
                    <A class="link" href={`/builds/${e.buildId}`}>
                      log
                    </A>
                  </Show>
                </span>
              </span>
            </li>
          );
        }}
      </For>
    </ol>
  );
}
