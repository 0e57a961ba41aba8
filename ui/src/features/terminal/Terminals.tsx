import { A } from "@solidjs/router";
import { createMemo, createSignal, For, lazy, Show, Suspense } from "solid-js";
import { request } from "../../api/client";
import { Button, ButtonLink } from "../../components/Button";
import { Icon } from "../../components/Icon";
import { toastError } from "../../components/Toasts";
import { CloseTerminalDoc, type Update } from "../session/queries";
import type { Status, Viewer } from "./link";
import { freeName } from "./names";

const Screen = lazy(() => import("./Screen"));

type Known = NonNullable<Update["machine"]>["view"]["terminals"][number];

/** The terminals of a session as tabs. Nothing is connected before somebody chooses one. */
export function Terminals(props: {
  session: string;
  sessionRef: string;
  running: boolean;
  terminals: Known[];
  /** The terminal to open at once. */
  initial?: string;
  /** It fills the page. */
  full?: boolean;
}) {
  const [opened, setOpened] = createSignal<string[]>(props.initial ? [props.initial] : []);
  const [active, setActive] = createSignal(props.initial ?? "");
  const [readOnly, setReadOnly] = createSignal(false);
  const [searching, setSearching] = createSignal(false);
  const [statuses, setStatuses] = createSignal<Record<string, { status: Status; key: number }>>({});
  const [titles, setTitles] = createSignal<Record<string, string>>({});
  const names = createMemo(() => [
    ...props.terminals.map((t) => t.name),
    ...opened().filter((name) => !props.terminals.some((t) => t.name === name)),
  ]);
  const process = (name: string) => props.terminals.find((t) => t.name === name)?.process ?? "";
  const shown = () => (opened().includes(active()) ? active() : "");
  const choose = (name: string) => {
    setOpened((all) => (all.includes(name) ? all : [...all, name]));
    setActive(name);
  };
  const add = () => choose(freeName(names()));
  const leave = (name: string) => {
    setOpened((all) => all.filter((n) => n !== name));
    setActive(opened().at(-1) ?? "");
  };
  const end = async (name: string) => {
    const busy = process(name) && !["bash", "sh", "zsh", "fish"].includes(process(name));
    if (busy && !confirm(`End ${name}? ${process(name)} runs in it.`)) return;
    leave(name);
    if (!props.terminals.some((t) => t.name === name)) return;
    try {
      await request(CloseTerminalDoc, { session: props.session, name });
    } catch (e) {
      toastError(e);
    }
  };
  const status = () => statuses()[shown()];
  const others = (): Viewer[] => status()?.status.viewers.filter((v) => v.key !== status()?.key) ?? [];
  const move = (e: KeyboardEvent) => {
    const by = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0;
    if (!by) return;
    const tabs = [...(e.currentTarget as HTMLElement).querySelectorAll<HTMLElement>("[role=tab]")];
    const i = tabs.indexOf(document.activeElement as HTMLElement);
    tabs[(i + by + tabs.length) % tabs.length]?.focus();
    e.preventDefault();
  };
  const label = (name: string) => {
    const p = process(name);
    return p && p !== "bash" && p !== "sh" ? p : "";
  };
  return (
    <section class="terminals" classList={{ full: props.full }} aria-label="Terminals">
      <header>
        <div class="terminal-tabs" role="tablist" tabindex="-1" aria-label="Terminals" onKeyDown={move}>
          <For each={names()}>
            {(name) => (
              <button
                type="button"
                role="tab"
                class="terminal-tab"
                aria-selected={shown() === name}
                title={titles()[name] || undefined}
                onClick={() => choose(name)}
                onAuxClick={(e) => e.button === 1 && void end(name)}
              >
                <Icon name="terminal" size={14} />
                {name}
                <Show when={label(name)}>
                  <span class="faint">{label(name)}</span>
                </Show>
              </button>
            )}
          </For>
        </div>
        <Button small look="plain" icon="plus" aria-label="New terminal" disabled={!props.running} onClick={add} />
        <span class="grow" />
        <Show when={shown() && readOnly()}>
          <span class="badge amber">watching</span>
        </Show>
        <Show when={shown()}>
          <Show when={others().length}>
            <span
              class="badge accent"
              title={others()
                .map((v) => `${v.who || "somebody"}${v.read_only ? ", watching" : ""}`)
                .join("\n")}
            >
              <Icon name="eye" size={12} />
              {others().length} more {others().length === 1 ? "viewer" : "viewers"}
            </span>
          </Show>
          <Button
            small
            look="plain"
            icon="eye"
            aria-label={readOnly() ? "Type again" : "Only watch"}
            aria-pressed={readOnly()}
            onClick={() => setReadOnly(!readOnly())}
          />
          <Button
            small
            look="plain"
            icon="search"
            aria-label="Search (Ctrl-Shift-F)"
            onClick={() => setSearching(!searching())}
          />
          <Button small look="plain" icon="trash" aria-label={`End ${shown()}`} onClick={() => void end(shown())} />
        </Show>
        <Show
          when={props.full}
          fallback={
            <A
              class="btn plain small icon"
              href={`/s/${props.sessionRef}/terminal${shown() ? `?terminal=${encodeURIComponent(shown())}` : ""}`}
              title="Fill the page"
              aria-label="Fill the page"
            >
              <Icon name="expand" />
            </A>
          }
        >
          <ButtonLink small look="plain" icon="shrink" href={`/s/${props.sessionRef}`}>
            Session
          </ButtonLink>
        </Show>
      </header>
      <div class="screens">
        <For each={opened()}>
          {(name) => (
            <Suspense fallback={<p class="screen-note">…</p>}>
              <Screen
                session={props.session}
                sessionRef={props.sessionRef}
                name={name}
                readOnly={readOnly()}
                visible={shown() === name}
                running={props.running}
                searching={searching()}
                onSearch={setSearching}
                onStatus={(s, key) => setStatuses((all) => ({ ...all, [name]: { status: s, key } }))}
                onTitle={(t) => setTitles((all) => ({ ...all, [name]: t }))}
                onEnded={() => leave(name)}
              />
            </Suspense>
          )}
        </For>
        <Show when={!shown()}>
          <div class="screen-over">
            <span class="picture">
              <Icon name="terminal" size={22} />
            </span>
            <Show when={props.running} fallback={<p class="muted">There are terminals once the session runs.</p>}>
              <p class="muted">
                {names().length
                  ? "Terminals run here. Choose one, or open another."
                  : "A shell in this machine, shared by everybody who opens it."}
              </p>
              <Button look="primary" icon="terminal" onClick={() => (names()[0] ? choose(names()[0]!) : add())}>
                Open terminal
              </Button>
            </Show>
          </div>
        </Show>
      </div>
    </section>
  );
}
