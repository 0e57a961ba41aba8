import { A } from "@solidjs/router";
import { For, type JSX, Show } from "solid-js";
import type { EditInput } from "../../api/types";
import { bytes } from "../../components/format";
import { Glyph, Hash } from "../../components/Hash";
import { Card } from "../../components/Page";
import { BuildBadge } from "../../components/Status";
import { Time } from "../../components/Time";
import { SessionRow } from "../session/SessionRow";
import { readCanonical } from "./canonical";
import { Packages } from "./Packages";
import type { Env } from "./queries";
import { Suggestions } from "./Suggestions";

/** What an environment is made of, what runs of it, and where it comes from. */
export function Overview(props: {
  env: Env;
  onBranch: (edits: EditInput[]) => void;
  onChange: (edits: EditInput[], done: () => void) => void;
}) {
  const e = () => props.env;
  const c = () => readCanonical(e().head.canonical);
  const sessions = () =>
    e()
      .sessions.filter((s) => s.status !== "STOPPED")
      .slice(0, 8);
  return (
    <div class="columns">
      <div class="stack">
        <Packages env={e()} onBranch={props.onBranch} onChange={props.onChange} />
        <Show when={Object.keys(c().services).length}>
          <Card
            title="Services"
            end={
              <A class="link small" href={`/e/${e().ref}/files`}>
                Edit
              </A>
            }
          >
            <ul class="list">
              <For each={Object.entries(c().services)}>
                {([name, s]) => (
                  <li class="item">
                    <strong class="grow">{name}</strong>
                    <span class="row wrap chips">
                      <Show when={s.port}>
                        <span class="tag">
                          port <b class="num">{s.port}</b>
                        </span>
                      </Show>
                      <For each={s.databases}>
                        {(d) => (
                          <span class="tag">
                            database <b>{d}</b>
                          </span>
                        )}
                      </For>
                      <For each={Object.entries(s.settings ?? {})}>
                        {([k, v]) => (
                          <span class="tag">
                            {k} <b>{String(v)}</b>
                          </span>
                        )}
                      </For>
                    </span>
                  </li>
                )}
              </For>
            </ul>
          </Card>
        </Show>
        <Pairs title="Variables" of={c().env} edit={`/e/${e().ref}/files`} />
        <Pairs title="Scripts" of={c().scripts} edit={`/e/${e().ref}/files`} />
      </div>
      <div class="stack">
        <Suggestions environment={e().ref} head={e().head.hash} onBranch={props.onBranch} />
        <Card title="Sessions">
          <Show
            when={sessions().length}
            fallback={
              <p class="body muted small">
                None runs. A session is a microVM of this environment, with its services and a disk of its own.
              </p>
            }
          >
            <ul class="list compact">
              <For each={sessions()}>
                {(s) => (
                  <li>
                    <SessionRow session={s} />
                  </li>
                )}
              </For>
            </ul>
          </Show>
        </Card>
        <Card title="About">
          <dl class="facts">
            <Fact name="Version">
              <Hash hash={e().head.hash} />
            </Fact>
            <Fact name="Content">
              <Hash hash={e().hash} />
            </Fact>
            <Show when={e().parent}>
              {(p) => (
                <Fact name="Branched from">
                  <A class="link row" href={`/e/${p().ref}`}>
                    <Glyph hash={p().hash} />
                    {p().name}
                  </A>
                </Fact>
              )}
            </Show>
            <Show when={e().head.realisation}>
              {(r) => (
                <Fact name="Closure">
                  <span class="num" title={r().closureDigest}>
                    {bytes(r().closureSize)} in {r().paths} paths
                  </span>
                </Fact>
              )}
            </Show>
            <Show when={e().head.builds[0]}>
              {(b) => (
                <Fact name="Build">
                  <A href={`/builds/${b().id}`} class="row">
                    <BuildBadge status={b().status} />
                    <span class="link">log</span>
                  </A>
                </Fact>
              )}
            </Show>
            <Fact name="Resources">
              <span class="num">
                {c().resources.cpus} CPU, {bytes(c().resources.memory_mib * 2 ** 20)},{" "}
                {bytes(c().resources.disk_mib * 2 ** 20)} disk
              </span>
            </Fact>
            <For each={Object.entries(c().ports)}>
              {([name, port]) => (
                <Fact name={`Port ${name}`}>
                  <span class="num">{port}</span>
                </Fact>
              )}
            </For>
            <Fact name="Changed">
              <Time at={e().updatedAt} /> by {e().head.author}
            </Fact>
          </dl>
        </Card>
      </div>
    </div>
  );
}

function Fact(props: { name: string; children: JSX.Element }) {
  return (
    <>
      <dt>{props.name}</dt>
      <dd>{props.children}</dd>
    </>
  );
}

function Pairs(props: { title: string; of: Record<string, string>; edit: string }) {
  return (
    <Show when={Object.keys(props.of).length}>
      <Card
        title={props.title}
        end={
          <A class="link small" href={props.edit}>
            Edit
          </A>
        }
      >
        <dl class="pairs">
          <For each={Object.entries(props.of)}>
            {([key, value]) => (
              <div>
                <dt class="mono">{key}</dt>
                <dd class="mono muted">{value}</dd>
              </div>
            )}
          </For>
        </dl>
      </Card>
    </Show>
  );
}
