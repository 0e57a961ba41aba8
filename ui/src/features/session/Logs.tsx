import { createEffect, createSignal, For, on, onCleanup, Show } from "solid-js";
import { base } from "../../app/base";
import { Card } from "../../components/Page";

const kept = 2000; // lines

/** The log of the machine or of one of its services, as it grows. */
export function Logs(props: {
  session: string;
  services: string[];
  generation: number;
  available: boolean;
  /** Whose log it is; empty for the machine's. */
  service: string;
  onService: (name: string) => void;
}) {
  const service = () => props.service;
  const [lines, setLines] = createSignal<string[]>([]);
  const [ended, setEnded] = createSignal(false);
  let box!: HTMLPreElement;
  let follow = true;

  createEffect(
    on(
      [() => props.session, service, () => props.generation, () => props.available],
      ([session, name, , available]) => {
        const abort = new AbortController();
        onCleanup(() => abort.abort());
        setLines([]);
        setEnded(false);
        follow = true;
        if (available) void read(session, name, abort.signal);
      },
    ),
  );

  async function read(session: string, name: string, signal: AbortSignal): Promise<void> {
    try {
      const url = `${base}/api/v1/sessions/${encodeURIComponent(session)}/logs?follow=1&service=${encodeURIComponent(name)}`;
      const res = await fetch(url, { signal });
      if (!res.ok || !res.body) throw new Error((await res.json())?.error?.message ?? res.statusText);
      const reader = res.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const parts = (rest + value).split(/\r?\n/);
        rest = parts.pop() ?? "";
        setLines((all) => [...all, ...parts].slice(-kept));
        if (follow) box.scrollTop = box.scrollHeight;
      }
      if (rest) setLines((all) => [...all, rest]);
      setEnded(true);
    } catch (e) {
      if (!signal.aborted) {
        setLines((all) => [...all, `— ${e instanceof Error ? e.message : e}`]);
        setEnded(true);
      }
    }
  }

  return (
    <Card id="log">
      <header>
        <h2>Log</h2>
        <fieldset class="segmented" aria-label="Log of">
          <For each={["", ...props.services]}>
            {(name) => (
              <button type="button" aria-pressed={service() === name} onClick={() => props.onService(name)}>
                {name || "machine"}
              </button>
            )}
          </For>
        </fieldset>
      </header>
      <pre
        class="console"
        tabindex="0"
        role="log"
        aria-label="Log lines"
        ref={box}
        onScroll={() => {
          follow = box.scrollTop + box.clientHeight >= box.scrollHeight - 24;
        }}
      >
        <Show
          when={lines().length}
          fallback={
            <span class="faint">
              {!props.available ? "There is a log once the machine runs." : ended() ? "It wrote nothing." : "…"}
            </span>
          }
        >
          {lines().join("\n")}
        </Show>
      </pre>
    </Card>
  );
}
