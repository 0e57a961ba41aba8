import { A, useLocation, useNavigate } from "@solidjs/router";
import { createEffect, For, Show } from "solid-js";
import { gql } from "../../api/gql";
import { live, recentEvents } from "../../api/live";
import type { HomeQuery } from "../../api/types";
import { ButtonLink } from "../../components/Button";
import { Cli } from "../../components/Cli";
import { Commands } from "../../components/Commands";
import { count } from "../../components/format";
import { Glyph } from "../../components/Hash";
import { Icon } from "../../components/Icon";
import { Card, Page } from "../../components/Page";
import { Bones, Empty, Loaded } from "../../components/States";
import { Time } from "../../components/Time";
import { contextSource } from "../create/context";
import { SessionFields, SessionRow } from "../session/SessionRow";
import { Activity } from "./Activity";

const HomeDoc = gql<HomeQuery>(
  /* GraphQL */ `
  query Home {
    projects(first: 100) {
      nodes {
        id slug source createdAt
        environments(first: 6) {
          totalCount
          nodes { id name hash updatedAt }
        }
      }
    }
    sessions(first: 20) {
      totalCount
      nodes { ...SessionFields }
    }
  }
`,
  [SessionFields],
);

export default function Home() {
  const home = live(HomeDoc, () => ({}));
  const location = useLocation();
  const navigate = useNavigate();
  // /#https://… is a project to be made of that address, as other tools have it.
  createEffect(() => {
    const source = contextSource(location.hash);
    if (source) navigate(`/new?repo=${encodeURIComponent(source)}`, { replace: true });
  });
  return (
    <Page
      title="Home"
      actions={
        <Show when={home.data()?.projects.nodes.length}>
          <ButtonLink href="/new" look="primary" icon="plus">
            New project
          </ButtonLink>
        </Show>
      }
    >
      <Show when={home.data()?.projects.nodes.length !== 0} fallback={<FirstSteps />}>
        <div class="columns">
          <div class="stack home-main">
            <Card
              title="Live sessions"
              end={
                <A class="link small" href="/sessions">
                  All sessions
                </A>
              }
            >
              <Loaded of={home} lines={2}>
                {(data) => (
                  <Show
                    when={data().sessions.nodes.length}
                    fallback={
                      <p class="body muted small">Nothing runs. Open an environment and start a session of it.</p>
                    }
                  >
                    <ul class="list">
                      <For each={data().sessions.nodes}>
                        {(s) => (
                          <li>
                            <SessionRow session={s} />
                          </li>
                        )}
                      </For>
                    </ul>
                  </Show>
                )}
              </Loaded>
            </Card>
            <h2>Projects</h2>
            <Loaded of={home} lines={3}>
              {(data) => (
                <div class="grid-cards">
                  <For each={data().projects.nodes}>
                    {(p) => (
                      <A class="card" href={`/p/${p.slug}`}>
                        <div class="row">
                          <Glyph hash={p.id.replaceAll("-", "").slice(-12)} size={22} />
                          <strong class="cut">{p.slug}</strong>
                        </div>
                        <div class="row wrap chips">
                          <For each={p.environments.nodes.slice(0, 5)}>
                            {(e) => (
                              <span class="tag">
                                <Glyph hash={e.hash} size={10} />
                                {e.name}
                              </span>
                            )}
                          </For>
                          <Show when={p.environments.totalCount > 5}>
                            <span class="tag">+{(p.environments.totalCount - 5).toLocaleString("en")}</span>
                          </Show>
                        </div>
                        <div class="row wide faint tiny">
                          <span>{count(p.environments.totalCount, "environment")}</span>
                          <Time at={p.createdAt} />
                        </div>
                      </A>
                    )}
                  </For>
                </div>
              )}
            </Loaded>
          </div>
          <Card title="Activity">
            <Show when={recentEvents().length} fallback={<Bones lines={5} />}>
              <Activity events={recentEvents()} limit={14} />
            </Show>
          </Card>
        </div>
        <Commands
          of={[
            ["Make a project", ["create", "NAME", "FOLDER-OR-REPOSITORY"]],
            ["List environments", ["list"]],
            ["List sessions", ["list", "sessions"]],
            ["Run a command in several, side by side", ["run", "ENVIRONMENT", "ENVIRONMENT", "--", "env"]],
          ]}
        />
      </Show>
    </Page>
  );
}

function FirstSteps() {
  return (
    <Card>
      <Empty icon="branch" title="Branch whole environments the way you branch code">
        <p class="muted">
          An environment is packages, services and settings, named by the hash of what it contains. Make one from a
          folder of code, branch it with another PostgreSQL, and run both side by side, each in its own microVM.
        </p>
        <ButtonLink href="/new" look="primary" icon="plus">
          New project
        </ButtonLink>
        <p class="faint small row">
          <Icon name="terminal" size={14} /> or on the command line
        </p>
        <Cli args={["create", "shop", "./shop"]} />
      </Empty>
    </Card>
  );
}
