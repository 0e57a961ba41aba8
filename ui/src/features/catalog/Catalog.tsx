import { createDeferred, createMemo, createSignal, For, Show } from "solid-js";
import { gql } from "../../api/gql";
import { live } from "../../api/live";
import type { CatalogQuery, CatalogQueryVariables } from "../../api/types";
import { Cli } from "../../components/Cli";
import { bytes, count } from "../../components/format";
import { Icon } from "../../components/Icon";
import { Card, Page } from "../../components/Page";
import { Empty, Loaded } from "../../components/States";

const CatalogDoc = gql<CatalogQuery, CatalogQueryVariables>(/* GraphQL */ `
  query Catalog($query: String!) {
    packages(query: $query, first: 500) { attr family version description default download present storePath }
  }
`);

/** What packages there are, by family. */
export default function Catalog() {
  const [typed, setTyped] = createSignal("");
  const query = createDeferred(typed, { timeoutMs: 200 });
  const found = live(
    CatalogDoc,
    () => ({ query: query() }),
    () => false,
  );
  const families = createMemo(() => {
    const map = new Map<string, CatalogQuery["packages"]>();
    for (const p of found.data()?.packages ?? []) map.set(p.family, [...(map.get(p.family) ?? []), p]);
    return [...map];
  });
  return (
    <Page
      title="Catalog"
      sub={
        <Show when={found.data()} fallback={<span>&nbsp;</span>}>
          {(d) => (
            <span>
              {count(d().packages.length, "package")} in {count(families().length, "family", "families")}
            </span>
          )}
        </Show>
      }
    >
      <label class="filter wide">
        <Icon name="search" size={14} />
        <span class="unseen">Search packages</span>
        <input
          class="input"
          type="search"
          placeholder="Search by name or what it does"
          value={typed()}
          onInput={(e) => setTyped(e.currentTarget.value)}
        />
      </label>
      <Card>
        <Loaded of={found} lines={8}>
          {() => (
            <Show
              when={families().length}
              fallback={
                <Empty icon="box" title={`Nothing is called “${query()}”`}>
                  <p class="muted">Every word must be in a package's name or its description.</p>
                </Empty>
              }
            >
              <ul class="list">
                <For each={families()}>
                  {([family, packages]) => (
                    <li class="family">
                      <div class="grow">
                        <strong>{family}</strong>
                        <p class="muted small">{packages[0]?.description}</p>
                      </div>
                      <ul class="row wrap chips">
                        <For each={packages}>
                          {(p) => (
                            <li
                              class="tag"
                              title={`${p.attr}: ${p.present ? "in the store already" : `${bytes(p.download)} to fetch`}`}
                            >
                              <i class="dot" classList={{ green: p.present }} />
                              <b class="num">{p.version}</b>
                              <Show when={p.default}>
                                <span class="faint">default</span>
                              </Show>
                              <span class="unseen">{p.present ? "present" : "not fetched yet"}</span>
                            </li>
                          )}
                        </For>
                      </ul>
                    </li>
                  )}
                </For>
              </ul>
            </Show>
          )}
        </Loaded>
      </Card>
      <p class="faint tiny row">
        <i class="dot green" /> in the store already <i class="dot" /> fetched when it is needed
      </p>
      <Cli args={query() ? ["catalog", "search", query()] : ["catalog", "list"]} />
    </Page>
  );
}
