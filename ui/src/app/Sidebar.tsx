import { A, useLocation } from "@solidjs/router";
import { For, Show } from "solid-js";
import { signOut } from "../api/client";
import { gql } from "../api/gql";
import { live } from "../api/live";
import type { NavQuery, ViewerQuery } from "../api/types";
import { Button } from "../components/Button";
import { Glyph } from "../components/Hash";
import { Icon } from "../components/Icon";
import { base, inside } from "./base";
import { nextTheme, setTheme, theme } from "./theme";

const NavDoc = gql<NavQuery>(/* GraphQL */ `
  query Nav {
    projects(first: 200) {
      totalCount
      nodes { id slug environments(first: 1) { totalCount } }
    }
    sessions(first: 1) { totalCount }
  }
`);

const mod = navigator.platform.startsWith("Mac") ? "⌘K" : "Ctrl K";
const themeNames = { system: "System theme", light: "Light theme", dark: "Dark theme" };
const themeIcons = { system: "screen", light: "sun", dark: "moon" } as const;

/** The way around: a column at the left, or a drawer where there is no room for one. */
export function Sidebar(props: {
  viewer: ViewerQuery;
  drawer: boolean;
  setDrawer: (open: boolean) => void;
  open: (what: "palette" | "help") => void;
}) {
  const nav = live(NavDoc, () => ({}));
  const location = useLocation();
  const inProject = (slug: string) =>
    ["p", "e", "s"].some((k) => `${inside(location.pathname)}/`.startsWith(`/${k}/${slug}/`));
  return (
    <>
      <div class="topbar">
        <Button
          look="plain"
          icon="menu"
          aria-label="Menu"
          aria-expanded={props.drawer}
          onClick={() => props.setDrawer(true)}
        />
        <A href="/" class="brand grow">
          <img src={`${base}/favicon.svg`} alt="" width="22" height="22" />
          NixSpace
        </A>
        <Button look="plain" icon="search" aria-label="Search" onClick={() => props.open("palette")} />
      </div>
      <button
        type="button"
        class="scrim"
        classList={{ open: props.drawer }}
        aria-label="Close the menu"
        tabindex="-1"
        onClick={() => props.setDrawer(false)}
      />
      <aside class="sidebar" classList={{ open: props.drawer }} aria-label="Navigation">
        <A href="/" class="brand">
          <img src={`${base}/favicon.svg`} alt="" width="22" height="22" />
          NixSpace
        </A>
        <button type="button" class="searchbox" onClick={() => props.open("palette")}>
          <Icon name="search" size={14} />
          <span class="grow">Search or jump to…</span>
          <kbd>{mod}</kbd>
        </button>
        <nav class="nav">
          <A href="/" end>
            <Icon name="home" /> Home
          </A>
          <A href="/sessions">
            <Icon name="terminal" /> Sessions
            <Show when={nav.data()?.sessions.totalCount}>{(n) => <span class="count">{n()}</span>}</Show>
          </A>
          <A href="/experiments">
            <Icon name="pulse" /> Experiments
          </A>
          <A href="/catalog">
            <Icon name="box" /> Catalog
          </A>
          <A href="/templates">
            <Icon name="template" /> Templates
          </A>
          <A href="/usage">
            <Icon name="chart" /> Usage
          </A>
          <A href="/settings">
            <Icon name="gear" /> Settings
          </A>
        </nav>
        <nav class="nav" aria-label="Projects">
          <h2>Projects</h2>
          <For each={nav.data()?.projects.nodes}>
            {(p) => (
              <A href={`/p/${p.slug}`} classList={{ here: inProject(p.slug) }}>
                <Glyph hash={p.id.replaceAll("-", "").slice(-12)} />
                <span class="cut">{p.slug}</span>
                <span class="count">{p.environments.totalCount.toLocaleString("en")}</span>
              </A>
            )}
          </For>
          <A href="/new">
            <Icon name="plus" /> New project
          </A>
        </nav>
        <div class="side-end">
          <div class="row wide">
            <span class="row cut small muted" title={`Signed in as ${props.viewer.viewer.name}`}>
              <span class="avatar" aria-hidden="true">
                {props.viewer.viewer.name.slice(0, 1).toUpperCase()}
              </span>
              <span class="cut">{props.viewer.viewer.name}</span>
            </span>
            <span class="row">
              <Button
                small
                look="plain"
                icon={themeIcons[theme()]}
                aria-label={`${themeNames[theme()]}; change`}
                onClick={() => setTheme(nextTheme())}
              />
              <Button
                small
                look="plain"
                icon="keyboard"
                aria-label="Keyboard shortcuts"
                onClick={() => props.open("help")}
              />
              <Button small look="plain" icon="out" aria-label="Sign out" onClick={() => void signOut()} />
            </span>
          </div>
          <span class="faint tiny cut" title={props.viewer.server.version}>
            NixSpace {props.viewer.server.version}
          </span>
        </div>
      </aside>
    </>
  );
}
