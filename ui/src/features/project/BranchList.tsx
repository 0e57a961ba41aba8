import { A } from "@solidjs/router";
import { For, Show } from "solid-js";
import { short } from "../../components/format";
import { Glyph } from "../../components/Hash";
import { sessionTone, sessionWord } from "../../components/Status";
import { Time } from "../../components/Time";
import { VirtualList } from "../../components/VirtualList";
import type { Branch } from "./environments";
import type { TreeRow } from "./tree";

const height = 52;

/** Environments as a tree: what each is made of, and what runs of it. */
export function BranchList(props: { rows: TreeRow<Branch>[] }) {
  return (
    <VirtualList items={props.rows} height={height} label="Environments">
      {(row) => <Row row={row} />}
    </VirtualList>
  );
}

function Row(props: { row: TreeRow<Branch> }) {
  const e = () => props.row.item;
  const same = () => e().parent !== null && e().parent?.hash === e().hash;
  return (
    <A class="item branch" href={`/e/${e().ref}`} classList={{ dim: !props.row.matches }}>
      <Lines last={props.row.last} />
      <span class="branch-name">
        <span class="row">
          <Glyph hash={e().hash} />
          <strong class="cut">{e().name}</strong>
          <Show when={same()}>
            <span class="tag" title="It has its parent's content">
              = {e().parent?.name}
            </span>
          </Show>
        </span>
        <span class="faint tiny cut">{e().head.message}</span>
      </span>
      <span class="branch-packages row">
        <For each={e().head.packages.slice(0, 4)}>
          {(p) => (
            <span class="tag">
              {p.name} <b class="num">{p.version}</b>
            </span>
          )}
        </For>
        <Show when={e().head.packages.length > 4}>
          <span class="tag">+{e().head.packages.length - 4}</span>
        </Show>
      </span>
      <span class="row sessions-of">
        <For each={e().sessions}>
          {(s) => (
            <span class="badge" title={`Session ${s.number}: ${sessionWord(s.status)}`}>
              <i class={`dot ${sessionTone(s.status)}`} />
              {s.number}
            </span>
          )}
        </For>
      </span>
      <span class="hash hide-small">{short(e().head.hash)}</span>
      <span class="faint tiny branch-when">
        <Time at={e().updatedAt} />
      </span>
    </A>
  );
}

const step = 18;

/** The lines that join a branch to what it was branched from. */
function Lines(props: { last: boolean[] }) {
  const depth = () => props.last.length - 1;
  const mid = height / 2;
  return (
    <svg width={depth() * step + 6} height={height} class="lines" aria-hidden="true">
      <For each={props.last.slice(1)}>
        {(last, i) => {
          const x = i() * step + 8.5;
          const own = () => i() === depth() - 1;
          return (
            <Show
              when={own()}
              fallback={
                <Show when={!last}>
                  <path d={`M${x} 0V${height}`} />
                </Show>
              }
            >
              <path d={`M${x} 0V${mid - 7}Q${x} ${mid} ${x + 7} ${mid}H${x + 9}`} />
              <Show when={!last}>
                <path d={`M${x} 0V${height}`} />
              </Show>
            </Show>
          );
        }}
      </For>
    </svg>
  );
}
