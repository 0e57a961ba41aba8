import { For } from "solid-js";
import { Dialog } from "../components/Dialog";
import { shortcuts } from "./keys";

const mod = navigator.platform.startsWith("Mac") ? "⌘" : "Ctrl";

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
          <For each={list}>
            {(s) => (
              <>
                <dt>{s.text}</dt>
                <dd>
                  <For each={s.keys.split(" ")}>
                    {(k) => <kbd>{k.length === 1 && k !== "?" ? k.toUpperCase() : k}</kbd>}
                  </For>
                </dd>
              </>
            )}
          </For>
        </dl>
        <p class="faint tiny">Keys are yours alone while you type, and in a terminal.</p>
      </div>
    </Dialog>
  );
}
