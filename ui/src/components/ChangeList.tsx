import { For } from "solid-js";

export interface ChangeItem {
  op: "ADD" | "REMOVE" | "SET";
  path: string;
  from: string;
  to: string;
}

const signs = { ADD: "+", REMOVE: "−", SET: "~" };
const tones = { ADD: "green", REMOVE: "red", SET: "amber" };
const names = { ADD: "added", REMOVE: "removed", SET: "changed" };

/** Changes of a manifest, a line each: what, from what, to what. */
export function ChangeList(props: { changes: readonly ChangeItem[] }) {
  return (
    <ul class="changes">
      <For each={props.changes}>
        {(c) => (
          <li class={tones[c.op]}>
            <b title={names[c.op]}>
              <span aria-hidden="true">{signs[c.op]}</span>
              <span class="unseen">{names[c.op]}</span>
            </b>
            <span class="mono">{c.path}</span>
            <span class="mono what">
              {c.op === "SET" ? (
                <>
                  <del>{c.from}</del> <span aria-hidden="true">→</span> <ins>{c.to}</ins>
                </>
              ) : c.op === "ADD" ? (
                <ins>{c.to}</ins>
              ) : (
                <del>{c.from}</del>
              )}
            </span>
          </li>
        )}
      </For>
    </ul>
  );
}
