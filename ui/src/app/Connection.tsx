import { createEffect, createSignal, onCleanup, Show } from "solid-js";
import { connection, reconnect } from "../api/live";
import { Button } from "../components/Button";

/** Says when no news arrives, after a moment: short breaks mend themselves. */
export function Connection() {
  const [lost, setLost] = createSignal(false);
  createEffect(() => {
    if (connection() === "online" || connection() === "idle") {
      setLost(false);
      return;
    }
    const timer = setTimeout(() => setLost(true), 1500);
    onCleanup(() => clearTimeout(timer));
  });
  return (
    <div role="status" aria-live="polite">
      <Show when={lost()}>
        <div class="banner">
          <i class="dot amber beat" />
          Connection lost. Trying again…
          <Button small onClick={reconnect}>
            Try now
          </Button>
        </div>
      </Show>
    </div>
  );
}
