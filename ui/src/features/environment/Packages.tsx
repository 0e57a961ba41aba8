import { createMemo, createSignal, For, Show } from "solid-js";
import { live } from "../../api/live";
import type { EditInput } from "../../api/types";
import { Button } from "../../components/Button";
import { Card } from "../../components/Page";
import { type Env, OfferedDoc } from "./queries";

/**
 * The packages of an environment. Another version typed into a row, a package
 * added or taken away is a change to make: in a branch, or here.
 */
export function Packages(props: {
  env: Env;
  onBranch: (edits: EditInput[]) => void;
  onChange: (edits: EditInput[], done: () => void) => void;
}) {
  const offered = live(
    OfferedDoc,
    () => ({}),
    () => false,
  );
  const [typed, setTyped] = createSignal<Record<string, string>>({});
  const [removed, setRemoved] = createSignal<Record<string, true>>({});
  const [added, setAdded] = createSignal<{ key: string; value: string }[]>([]);
  const [adding, setAdding] = createSignal("");
  const families = createMemo(() => {
    const map = new Map<string, string[]>();
    for (const p of offered.data()?.packages ?? []) map.set(p.family, [...(map.get(p.family) ?? []), p.version]);
    return map;
  });
  const family = (p: { name: string; attr: string }) =>
    offered.data()?.packages.find((o) => o.attr === p.attr)?.family ?? p.name;
  const edits = createMemo((): EditInput[] => [
    ...props.env.head.packages.flatMap((p): EditInput[] => {
      if (removed()[p.name]) return [{ op: "REMOVE", key: p.name }];
      const v = typed()[p.name]?.trim();
      return v && v !== p.constraint ? [{ op: "SET", key: p.name, value: v }] : [];
    }),
    ...added().map((a): EditInput => ({ op: "ADD", key: a.key, value: a.value })),
  ]);
  const reset = () => {
    setTyped({});
    setRemoved({});
    setAdded([]);
  };
  const add = (e: SubmitEvent) => {
    e.preventDefault();
    const [key, value] = adding().trim().split("=");
    if (!key) return;
    setAdded((a) => [...a.filter((x) => x.key !== key), { key, value: value || "*" }]);
    setAdding("");
  };
  return (
    <Card title="Packages" end={<span class="faint tiny">type another version to branch with it</span>}>
      <div class="scroll-x">
        <table class="table packages">
          <thead>
            <tr>
              <th>Package</th>
              <th>Wanted</th>
              <th>Resolved</th>
              <th class="right">
                <span class="unseen">Remove</span>
              </th>
            </tr>
          </thead>
          <tbody>
            <For each={props.env.head.packages}>
              {(p) => (
                <tr classList={{ gone: removed()[p.name] ?? false }}>
                  <td>
                    <strong>{p.name}</strong>
                  </td>
                  <td>
                    <input
                      class="input slim mono"
                      classList={{ dirty: (typed()[p.name] ?? p.constraint) !== p.constraint }}
                      aria-label={`Version of ${p.name}`}
                      list={`versions-${p.name}`}
                      value={typed()[p.name] ?? p.constraint}
                      spellcheck={false}
                      autocomplete="off"
                      onFocus={(e) => e.currentTarget.select()}
                      onInput={(e) => setTyped((t) => ({ ...t, [p.name]: e.currentTarget.value }))}
                      onKeyDown={(e) => e.key === "Enter" && edits().length && props.onBranch(edits())}
                    />
                    <datalist id={`versions-${p.name}`}>
                      <For each={families().get(family(p))}>{(v) => <option value={v} />}</For>
                    </datalist>
                  </td>
                  <td>
                    <span class="mono num" title={p.storePath}>
                      {p.version}
                    </span>{" "}
                    <span class="faint tiny hide-small">{p.attr}</span>
                  </td>
                  <td class="right">
                    <Button
                      small
                      look="plain"
                      icon={removed()[p.name] ? "undo" : "cross"}
                      aria-label={removed()[p.name] ? `Keep ${p.name}` : `Remove ${p.name}`}
                      onClick={() =>
                        setRemoved((r) => {
                          const { [p.name]: was, ...rest } = r;
                          return was ? rest : { ...r, [p.name]: true };
                        })
                      }
                    />
                  </td>
                </tr>
              )}
            </For>
            <For each={added()}>
              {(a) => (
                <tr class="new">
                  <td>
                    <strong>{a.key}</strong> <span class="badge green">new</span>
                  </td>
                  <td class="mono">{a.value}</td>
                  <td class="faint">—</td>
                  <td class="right">
                    <Button
                      small
                      look="plain"
                      icon="cross"
                      aria-label={`Do not add ${a.key}`}
                      onClick={() => setAdded((all) => all.filter((x) => x !== a))}
                    />
                  </td>
                </tr>
              )}
            </For>
          </tbody>
        </table>
      </div>
      <form class="add-package" onSubmit={add}>
        <input
          class="input slim"
          list="families"
          placeholder="Add a package: redis, go=1.26"
          aria-label="Add a package"
          spellcheck={false}
          autocomplete="off"
          value={adding()}
          onInput={(e) => setAdding(e.currentTarget.value)}
        />
        <datalist id="families">
          <For each={[...families().keys()]}>{(f) => <option value={f} />}</For>
        </datalist>
        <Button small icon="plus" type="submit" disabled={!adding().trim()}>
          Add
        </Button>
      </form>
      <Show when={edits().length}>
        <div class="pending" role="status">
          <span class="grow">
            <strong>{edits().length === 1 ? "1 change" : `${edits().length} changes`}</strong>
          </span>
          <Button small look="plain" onClick={reset}>
            Discard
          </Button>
          <Button small onClick={() => props.onChange(edits(), reset)}>
            Change it here
          </Button>
          <Button small look="primary" icon="branch" onClick={() => props.onBranch(edits())}>
            Branch with this change
          </Button>
        </div>
      </Show>
    </Card>
  );
}
