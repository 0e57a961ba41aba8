import { createSignal, For, onCleanup, Show } from "solid-js";
import { Button } from "./Button";
import { copyCommand } from "./Cli";
import { Icon, type IconName } from "./Icon";

export interface MenuItem {
  icon: IconName;
  text: string;
  run?: () => void;
  /** Instead: a command line to copy. */
  copy?: string[];
  danger?: boolean;
  disabled?: boolean;
}

/** A button that opens a list of things to do; arrows move, Escape closes. */
export function Menu(props: { label: string; items: MenuItem[]; small?: boolean }) {
  const [open, setOpen] = createSignal(false);
  let anchor!: HTMLDivElement;
  const outside = (e: PointerEvent) => !anchor.contains(e.target as Node) && setOpen(false);
  document.addEventListener("pointerdown", outside);
  onCleanup(() => document.removeEventListener("pointerdown", outside));

  const buttons = () => [...anchor.querySelectorAll<HTMLButtonElement>(".menu button:not(:disabled)")];
  const move = (by: number) => {
    const all = buttons();
    const i = all.indexOf(document.activeElement as HTMLButtonElement);
    all[(i + by + all.length) % all.length]?.focus();
  };
  const close = () => {
    setOpen(false);
    anchor.querySelector<HTMLButtonElement>(".btn")?.focus();
  };
  const keys = (e: KeyboardEvent) => {
    if (!open()) return;
    if (e.key === "ArrowDown") move(1);
    else if (e.key === "ArrowUp") move(-1);
    else if (e.key === "Escape") close();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  const toggle = () => {
    setOpen(!open());
    if (open()) queueMicrotask(() => buttons()[0]?.focus());
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys are those of the buttons within
    <div class="menu-anchor" ref={anchor} onKeyDown={keys}>
      <Button
        icon="more"
        small={props.small}
        look={props.small ? "plain" : undefined}
        aria-label={props.label}
        aria-haspopup="menu"
        aria-expanded={open()}
        onClick={toggle}
      />
      <Show when={open()}>
        <div class="menu" role="menu" aria-label={props.label}>
          <For each={props.items}>
            {(item) => (
              <button
                type="button"
                role="menuitem"
                disabled={item.disabled}
                classList={{ danger: item.danger ?? false }}
                onClick={() => {
                  close();
                  if (item.copy) void copyCommand(item.copy);
                  else item.run?.();
                }}
              >
                <Icon name={item.icon} />
                {item.text}
              </button>
            )}
          </For>
        </div>
      </Show>
    </div>
  );
}
