import { For, type JSX, Show } from "solid-js";
import type { ApiError } from "../api/client";
import type { Live } from "../api/live";
import { Button } from "./Button";
import { Icon, type IconName } from "./Icon";

/** Nothing here yet: what would be, and how to get it. */
export function Empty(props: { icon: IconName; title: string; children?: JSX.Element }) {
  return (
    <div class="empty">
      <div class="picture">
        <Icon name={props.icon} size={20} />
      </div>
      <h2>{props.title}</h2>
      {props.children}
    </div>
  );
}

/** What went wrong, and what to do about it. */
export function Problem(props: { error: ApiError; retry?: () => void }) {
  return (
    <div class="notice red" role="alert">
      <Icon name="alert" />
      <div class="grow">
        <p>{props.error.message}</p>
        <Show when={props.error.hint}>
          <p>{props.error.hint}</p>
        </Show>
      </div>
      <Show when={props.retry}>
        <Button small onClick={() => props.retry?.()}>
          Try again
        </Button>
      </Show>
    </div>
  );
}

const widths = ["w1", "w2", "w3", "w2", "w1", "w3"];

/** Lines where a list will be. */
export function Bones(props: { lines?: number }) {
  return (
    <div aria-hidden="true">
      <For each={Array.from({ length: props.lines ?? 4 })}>
        {(_, i) => (
          <div class="item">
            <span class={`bone ${widths[i() % widths.length]}`} />
          </div>
        )}
      </For>
    </div>
  );
}

/** Shows what a query brought: bones before, a problem instead, else the children. */
export function Loaded<T>(props: { of: Live<T>; lines?: number; children: (data: () => T) => JSX.Element }) {
  return (
    <Show
      when={props.of.data()}
      fallback={
        <Show when={props.of.error()} fallback={<Bones lines={props.lines} />}>
          {(e) => (
            <div class="body">
              <Problem error={e()} retry={() => void props.of.refetch()} />
            </div>
          )}
        </Show>
      }
    >
      {(data) => props.children(data as () => T)}
    </Show>
  );
}
