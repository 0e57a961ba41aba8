import { useNavigate } from "@solidjs/router";
import { createDeferred, createEffect, createMemo, createSignal, For, on, Show } from "solid-js";
import { gql } from "../api/gql";
import { live } from "../api/live";
import type { PaletteQuery, PaletteSearchQuery, PaletteSearchQueryVariables } from "../api/types";
import { Dialog } from "../components/Dialog";
import { Icon, type IconName } from "../components/Icon";
import { sessionTone, sessionWord } from "../components/Status";
import { shortcuts } from "./keys";
import { best } from "./match";
import { setTheme } from "./theme";

const PaletteDoc = gql<PaletteQuery>(/* GraphQL */ `
  query Palette {
    projects(first: 200) { nodes { id slug } }
    environments(first: 100) { totalCount nodes { id ref } }
    sessions(first: 100) { nodes { id ref status } }
  }
`);

const SearchDoc = gql<PaletteSearchQuery, PaletteSearchQueryVariables>(/* GraphQL */ `
  query PaletteSearch($query: String!) { searchEnvironments(query: $query, first: 30) { id ref } }
`);

interface Entry {
  group: string;
  icon: IconName;
  text: string;
  run: () => void;
  hint?: string;
  tone?: string;
}

/** Everything by name: type, press Enter. */
export function Palette(props: { onClose: () => void; onHelp: () => void }) {
  const navigate = useNavigate();
  const [typed, setTyped] = createSignal("");
  const [at, setAt] = createSignal(0);
  const known = live(PaletteDoc, () => ({}));
  // The page knows some environments; where there are more, the server looks through all.
  const query = createDeferred(typed, { timeoutMs: 150 });
  const more = () => (known.data()?.environments.totalCount ?? 0) > (known.data()?.environments.nodes.length ?? 0);
  const searched = live(
    SearchDoc,
    () => (more() && query().trim() ? { query: query() } : undefined),
    () => false,
  );
  const environments = createMemo(() => {
    const all = new Map(known.data()?.environments.nodes.map((e) => [e.id, e]));
    if (query().trim()) for (const e of searched.data()?.searchEnvironments ?? []) all.set(e.id, e);
    return [...all.values()];
  });
  const to = (path: string) => () => {
    props.onClose();
    navigate(path);
  };
  const keys = shortcuts();
  const key = (text: string) => keys.find((s) => s.text === text)?.keys;
  const fixed: Entry[] = [
    { group: "Go to", icon: "home", text: "Home", run: to("/"), hint: key("Home") },
    { group: "Go to", icon: "terminal", text: "Sessions", run: to("/sessions"), hint: key("Sessions") },
    { group: "Go to", icon: "box", text: "Catalog", run: to("/catalog"), hint: key("Catalog") },
    { group: "Go to", icon: "template", text: "Templates", run: to("/templates"), hint: key("Templates") },
    { group: "Go to", icon: "chart", text: "Usage", run: to("/usage"), hint: key("Usage") },
    { group: "Go to", icon: "gear", text: "Settings", run: to("/settings"), hint: key("Settings") },
    { group: "Actions", icon: "plus", text: "New project", run: to("/new"), hint: key("New project") },
    ...keys
      .filter((s) => !s.keys.startsWith("g ") && !["?", "c", "t"].includes(s.keys))
      .map(
        (s): Entry => ({
          group: "Actions",
          icon: "right",
          text: s.text,
          hint: s.keys,
          run: () => {
            props.onClose();
            s.run();
          },
        }),
      ),
    { group: "Actions", icon: "keyboard", text: "Keyboard shortcuts", run: props.onHelp, hint: "?" },
    ...(["light", "dark", "system"] as const).map(
      (t): Entry => ({
        group: "Theme",
        icon: t === "light" ? "sun" : t === "dark" ? "moon" : "screen",
        text: `Use the ${t} theme`,
        run: () => {
          setTheme(t);
          props.onClose();
        },
      }),
    ),
  ];
  const all = createMemo((): Entry[] => {
    const k = known.data();
    if (!k) return fixed;
    return [
      ...fixed,
      ...k.sessions.nodes.map(
        (s): Entry => ({
          group: "Sessions",
          icon: "terminal",
          text: s.ref,
          run: to(`/s/${s.ref}`),
          hint: sessionWord(s.status),
          tone: sessionTone(s.status),
        }),
      ),
      ...k.projects.nodes.map(
        (p): Entry => ({ group: "Projects", icon: "layers", text: p.slug, run: to(`/p/${p.slug}`) }),
      ),
      ...environments().map(
        (e): Entry => ({ group: "Environments", icon: "branch", text: e.ref, run: to(`/e/${e.ref}`) }),
      ),
    ];
  });
  const found = createMemo(() => best(all(), typed(), (e) => e.text, 60));
  createEffect(on(typed, () => setAt(0)));

  let list!: HTMLDivElement;
  createEffect(() => list?.querySelector(`#pal-${at()}`)?.scrollIntoView({ block: "nearest" }));
  const onKey = (e: KeyboardEvent) => {
    const n = found().length;
    if (e.key === "ArrowDown") setAt((at() + 1) % Math.max(1, n));
    else if (e.key === "ArrowUp") setAt((at() - 1 + n) % Math.max(1, n));
    else if (e.key === "Enter") found()[at()]?.run();
    else return;
    e.preventDefault();
  };
  return (
    <Dialog bare class="palette" title="Command palette" onClose={props.onClose}>
      <div class="palette-input">
        <Icon name="search" />
        <input
          type="text"
          role="combobox"
          aria-label="Search or jump to"
          aria-expanded="true"
          aria-controls="palette-list"
          aria-activedescendant={`pal-${at()}`}
          placeholder="Search or jump to…"
          autocomplete="off"
          spellcheck={false}
          value={typed()}
          onInput={(e) => setTyped(e.currentTarget.value)}
          onKeyDown={onKey}
        />
        <kbd>Esc</kbd>
      </div>
      <div class="palette-list" id="palette-list" role="listbox" aria-label="Results" tabindex="-1" ref={list}>
        <For each={found()}>
          {(e, i) => (
            <>
              <Show when={!typed() && e.group !== found()[i() - 1]?.group}>
                <h3 role="presentation">{e.group}</h3>
              </Show>
              {/* biome-ignore lint/a11y: the keys are those of the field above, which keeps the focus */}
              <div
                id={`pal-${i()}`}
                class="option"
                role="option"
                aria-selected={i() === at()}
                onPointerMove={() => setAt(i())}
                onClick={() => e.run()}
              >
                <Icon name={e.icon} />
                <span class="what cut">{e.text}</span>
                <span class="row faint tiny">
                  <Show when={e.tone}>{(t) => <i class={`dot ${t()}`} />}</Show>
                  <Show when={e.hint && !e.tone} fallback={e.hint}>
                    <For each={e.hint?.split(" ")}>{(k) => <kbd>{k.length === 1 ? k.toUpperCase() : k}</kbd>}</For>
                  </Show>
                  <Show when={typed() && !e.hint}>{e.group}</Show>
                </span>
              </div>
            </>
          )}
        </For>
        <Show when={found().length === 0}>
          <div class="faint option" role="presentation">
            Nothing is called like that.
          </div>
        </Show>
      </div>
      <div class="palette-foot">
        <span>
          <kbd>↑</kbd>
          <kbd>↓</kbd> choose
        </span>
        <span>
          <kbd>↵</kbd> open
        </span>
      </div>
    </Dialog>
  );
}
