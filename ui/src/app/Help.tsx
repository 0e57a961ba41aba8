import { A } from "@solidjs/router";
import { For, Show } from "solid-js";
import { Dialog } from "../components/Dialog";
import { type Shortcut, shortcuts } from "./keys";

const mod = navigator.platform.startsWith("Mac") ? "⌘" : "Ctrl";

function Keys(props: { of: Shortcut[] }) {
  return (
    <For each={props.of}>
      {(s) => (
        <>
          <dt>{s.text}</dt>
          <dd>
            <For each={s.keys.split(" ")}>{(k) => <kbd>{k.length === 1 && k !== "?" ? k.toUpperCase() : k}</kbd>}</For>
          </dd>
        </>
      )}
    </For>
  );
}

/** The keys that work here. */
export function Help(props: { onClose: () => void }) {
  const list = shortcuts();
  return (
    <Dialog title="Keyboard shortcuts" onClose={props.onClose}>
      <div class="body">
        <dl class="keys">
          <dt>Command palette</dt>
          <dd>
            <kbd>{mod}</kbd>
            <kbd>K</kbd>
          </dd>
          <Keys of={list.filter((s) => s.everywhere && !s.keys.startsWith("g "))} />
        </dl>
        <Show when={list.some((s) => !s.everywhere)}>
          <h3>On this page</h3>
          <dl class="keys">
            <Keys of={list.filter((s) => !s.everywhere)} />
          </dl>
        </Show>
        <h3>Go to</h3>
        <dl class="keys">
          <Keys of={list.filter((s) => s.keys.startsWith("g "))} />
        </dl>
        <p class="faint tiny">
          Keys are yours alone while you type, and in a terminal.{" "}
          <A class="link" href="/settings" onClick={props.onClose}>
            Settings
          </A>{" "}
          switch single keys off.
        </p>
      </div>
    </Dialog>
  );
}
