import { createSignal, For, Show } from "solid-js";
import { ApiError } from "../api/client";
import { Button } from "./Button";

interface Toast {
  id: number;
  tone: "green" | "red" | "blue";
  text: string;
  more?: string;
}

const [toasts, setToasts] = createSignal<Toast[]>([]);
let next = 1;

/** Says something in the corner for a while; errors stay longer. */
export function toast(text: string, tone: Toast["tone"] = "green", more?: string): void {
  const id = next++;
  setToasts((all) => [...all.slice(-3), { id, tone, text, more }]);
  setTimeout(() => drop(id), tone === "red" ? 12_000 : 5_000);
}

/** Says what went wrong, and what to do about it. */
export function toastError(err: unknown): void {
  if (err instanceof ApiError) toast(err.message, "red", err.hint);
  else toast(String(err), "red");
}

const drop = (id: number) => setToasts((all) => all.filter((t) => t.id !== id));

export function Toasts() {
  return (
    <section class="toasts" aria-live="polite" aria-label="Notifications">
      <For each={toasts()}>
        {(t) => (
          <div class="toast" role={t.tone === "red" ? "alert" : "status"}>
            <i class={`dot ${t.tone}`} />
            <div class="grow">
              <strong>{t.text}</strong>
              <Show when={t.more}>
                <p>{t.more}</p>
              </Show>
            </div>
            <Button look="plain" small icon="cross" aria-label="Dismiss" onClick={() => drop(t.id)} />
          </div>
        )}
      </For>
    </section>
  );
}
