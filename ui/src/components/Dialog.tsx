import { createUniqueId, type JSX, onCleanup, onMount, Show } from "solid-js";
import { Portal } from "solid-js/web";
import { Button } from "./Button";

/**
 * A modal dialog. The browser keeps the focus inside, gives it back after, and
 * closes it on Escape; a click beside it closes it too.
 */
export function Dialog(props: {
  title: string;
  onClose: () => void;
  children: JSX.Element;
  class?: string;
  bare?: boolean;
}) {
  let dialog!: HTMLDialogElement;
  const id = createUniqueId();
  const before = document.activeElement;
  onMount(() => dialog.showModal());
  onCleanup(() => before instanceof HTMLElement && before.isConnected && before.focus());
  return (
    <Portal>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes it */}
      <dialog
        ref={dialog}
        class={props.class}
        aria-labelledby={props.bare ? undefined : id}
        aria-label={props.bare ? props.title : undefined}
        onClose={() => props.onClose()}
        onCancel={(e) => {
          e.preventDefault();
          props.onClose();
        }}
        onClick={(e) => e.target === dialog && props.onClose()}
      >
        <Show when={!props.bare}>
          <header>
            <h2 id={id}>{props.title}</h2>
            <Button look="plain" small icon="cross" aria-label="Close" onClick={() => props.onClose()} />
          </header>
        </Show>
        {props.children}
      </dialog>
    </Portal>
  );
}
