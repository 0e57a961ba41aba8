// biome-ignore-all lint/a11y/useSemanticElements: only rows in sight are drawn, which a table element cannot
// biome-ignore-all lint/a11y/useFocusableInteractive: headers and rows hold what has the focus
import { A } from "@solidjs/router";
import { createMemo, createSignal, For, type JSX, Show } from "solid-js";
import { short } from "../../components/format";
import { Glyph } from "../../components/Hash";
import { Icon } from "../../components/Icon";
import { sessionTone, sessionWord } from "../../components/Status";
import { Time } from "../../components/Time";
import { VirtualList } from "../../components/VirtualList";
import { type Order, ordered, packageColumns } from "./columns";
import type { Branch } from "./environments";

/** Environments as a table, with the versions of their packages beside each other, in any order. */
export function BranchTable(props: { items: Branch[] }) {
  const [order, setOrder] = createSignal<Order>({ by: "updated", down: true });
  const packages = createMemo(() => packageColumns(props.items));
  const rows = createMemo(() => ordered(props.items, order()));
  const columns = () =>
    `minmax(10rem, 1.6fr) minmax(6rem, 1fr) repeat(${packages().length}, minmax(5rem, 0.8fr)) 6rem 7rem`;
  const Head = (p: { by: string; children: JSX.Element }) => (
    <span role="columnheader" aria-sort={order().by === p.by ? (order().down ? "descending" : "ascending") : "none"}>
      <button
        type="button"
        onClick={() => setOrder((o) => ({ by: p.by, down: o.by === p.by ? !o.down : p.by === "updated" }))}
      >
        {p.children}
        <Show when={order().by === p.by}>
          <Icon name={order().down ? "down" : "up"} size={12} />
        </Show>
      </button>
    </span>
  );
  return (
    <div class="scroll-x">
      <div
        class="branch-table"
        role="table"
        aria-label="Environments"
        aria-rowcount={rows().length + 1}
        style={{ "--columns": columns(), "min-width": `${26 + packages().length * 6}rem` }}
      >
        <div role="row" class="branch-tr top">
          <Head by="name">Environment</Head>
          <Head by="parent">From</Head>
          <For each={packages()}>{(name) => <Head by={`package:${name}`}>{name}</Head>}</For>
          <Head by="sessions">Sessions</Head>
          <Head by="updated">Changed</Head>
        </div>
        <VirtualList items={rows()} height={40} label="Rows" rows>
          {(e) => (
            <div role="row" class="branch-tr">
              <span role="cell">
                <A class="row" href={`/e/${e.ref}`} title={`${e.head.message} (${short(e.head.hash)})`}>
                  <Glyph hash={e.hash} />
                  <strong class="cut">{e.name}</strong>
                </A>
              </span>
              <span role="cell" class="muted cut">
                {e.parent?.name ?? "—"}
              </span>
              <For each={packages()}>
                {(name) => {
                  const version = () => e.head.packages.find((p) => p.name === name)?.version;
                  return (
                    <span role="cell" class="num cut" classList={{ faint: !version() }}>
                      {version() ?? "—"}
                    </span>
                  );
                }}
              </For>
              <span role="cell" class="row sessions-of">
                <For each={e.sessions.slice(0, 3)}>
                  {(s) => (
                    <A
                      class="badge"
                      href={`/s/${e.ref}/${s.number}`}
                      title={`Session ${s.number}: ${sessionWord(s.status)}`}
                    >
                      <i class={`dot ${sessionTone(s.status)}`} />
                      {s.number}
                    </A>
                  )}
                </For>
              </span>
              <span role="cell" class="faint tiny">
                <Time at={e.updatedAt} />
              </span>
            </div>
          )}
        </VirtualList>
      </div>
    </div>
  );
}
