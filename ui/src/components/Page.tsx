import { A } from "@solidjs/router";
import { createEffect, For, type JSX, Show } from "solid-js";

/** A page: its title, where it stands, what can be done, and what it shows. */
export function Page(props: {
  title: string;
  /** What stands there instead of the plain title. */
  heading?: JSX.Element;
  crumbs?: { text: string; href: string }[];
  actions?: JSX.Element;
  sub?: JSX.Element;
  children: JSX.Element;
}) {
  createEffect(() => {
    document.title = `${props.title} · NixSpace`;
  });
  return (
    <div class="page">
      <header class="head">
        <div class="titles">
          <Show when={props.crumbs?.length}>
            <nav class="crumbs" aria-label="Breadcrumbs">
              <For each={props.crumbs}>
                {(c, i) => (
                  <>
                    <Show when={i() > 0}>
                      <span aria-hidden="true">/</span>
                    </Show>
                    <A href={c.href}>{c.text}</A>
                  </>
                )}
              </For>
            </nav>
          </Show>
          <h1 class="row wrap">{props.heading ?? props.title}</h1>
          <Show when={props.sub}>
            <div class="row wrap muted small">{props.sub}</div>
          </Show>
        </div>
        <Show when={props.actions}>
          <div class="actions">{props.actions}</div>
        </Show>
      </header>
      {props.children}
    </div>
  );
}

/** A titled box. */
export function Card(props: {
  title?: JSX.Element;
  end?: JSX.Element;
  children: JSX.Element;
  class?: string;
  id?: string;
}) {
  return (
    <section id={props.id} class={`card ${props.class ?? ""}`}>
      <Show when={props.title}>
        <header>
          <h2 class="row">{props.title}</h2>
          {props.end}
        </header>
      </Show>
      {props.children}
    </section>
  );
}
