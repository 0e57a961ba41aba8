import { A } from "@solidjs/router";
import { createResource, createSignal, For, onMount, Show } from "solid-js";
import { request } from "../../api/client";
import { Button } from "../../components/Button";
import { Icon } from "../../components/Icon";
import { Card } from "../../components/Page";
import { TemplatesDoc } from "./fetch";
import { choiceText, type Detection, hasFlake, type Wanted } from "./source";

/** Asks where the code is. */
export function SourceCard(props: {
  begin: Partial<Wanted> & { template?: string };
  busy: string;
  chosen: string;
  onFetch: (w: Wanted) => void;
  onFolder: (files: FileList) => void;
  onArchive: (file: File) => void;
  onCancel: () => void;
}) {
  const [address, setAddress] = createSignal(props.begin.source ?? "");
  const [ref, setRef] = createSignal(props.begin.ref ?? "");
  const [dir, setDir] = createSignal(props.begin.dir ?? "");
  const [token, setToken] = createSignal("");
  const [templates] = createResource(async () => (await request(TemplatesDoc, {})).templates);
  const look = () => {
    if (!address().trim() || props.busy) return;
    props.onFetch({ source: address().trim(), ref: ref().trim(), dir: dir().trim(), token: token() });
    setToken(""); // the server keeps it no longer than the fetch takes, and this page not at all
  };
  onMount(() => props.begin.template && props.onFetch({ source: `template:${props.begin.template}` }));
  const onEnter = (e: KeyboardEvent) => {
    if (e.key !== "Enter") return;
    e.preventDefault();
    look();
  };
  return (
    <Card title="Code">
      <div class="body stack">
        <div class="row wrap">
          <label class="field grow">
            <span>Repository or archive</span>
            <input
              class="input"
              spellcheck={false}
              autocomplete="off"
              placeholder="https://github.com/acme/shop"
              value={address()}
              onInput={(e) => setAddress(e.currentTarget.value)}
              onKeyDown={onEnter}
            />
          </label>
        </div>
        <details open={!!(ref() || dir())}>
          <summary class="small muted">Branch, folder, token</summary>
          <div class="row wrap">
            <label class="field grow">
              <span>Branch, tag or commit</span>
              <input
                class="input"
                spellcheck={false}
                value={ref()}
                onInput={(e) => setRef(e.currentTarget.value)}
                onKeyDown={onEnter}
              />
            </label>
            <label class="field grow">
              <span>Folder</span>
              <input
                class="input"
                spellcheck={false}
                value={dir()}
                onInput={(e) => setDir(e.currentTarget.value)}
                onKeyDown={onEnter}
              />
            </label>
            <label class="field grow">
              <span>Token, if it is private</span>
              <input
                class="input"
                type="password"
                autocomplete="off"
                value={token()}
                onInput={(e) => setToken(e.currentTarget.value)}
                onKeyDown={onEnter}
              />
            </label>
          </div>
        </details>
        <div class="row wrap">
          <Button icon="search" onClick={look} disabled={!!props.busy || !address().trim()}>
            Look into it
          </Button>
          <label class="btn">
            <Icon name="upload" /> Choose a folder
            <input
              class="unseen"
              type="file"
              ref={(el) => el.setAttribute("webkitdirectory", "")}
              onChange={(e) => e.currentTarget.files?.length && props.onFolder(e.currentTarget.files)}
            />
          </label>
          <label class="btn">
            <Icon name="box" /> Choose an archive
            <input
              class="unseen"
              type="file"
              accept=".tar,.gz,.tgz,.zst,.zip,.nix"
              onChange={(e) => {
                const f = e.currentTarget.files?.[0];
                if (f) props.onArchive(f);
              }}
            />
          </label>
          <span class="muted small" role="status">
            {props.busy}
          </span>
          <Show when={props.busy}>
            <Button onClick={props.onCancel}>Stop</Button>
          </Show>
        </div>
        <div class="row wide">
          <h3>Or begin with a template</h3>
          <A class="link small" href="/templates">
            All templates
          </A>
        </div>
        <fieldset class="template-grid" aria-label="Begin with a template">
          <For each={templates() ?? []}>
            {(t) => (
              <button
                type="button"
                class="template"
                disabled={!!props.busy}
                aria-pressed={props.chosen === `template:${t.name}`}
                onClick={() => props.onFetch({ source: `template:${t.name}` })}
              >
                <strong>{t.name}</strong>
                <span class="muted tiny">{t.description}</span>
              </button>
            )}
          </For>
        </fieldset>
      </div>
    </Card>
  );
}

/** Says what was found in code, and why. */
export function Reasons(props: { detection: Detection; onFlake: () => void }) {
  const d = () => props.detection;
  return (
    <section class="stack small" aria-label="What was found">
      <Show when={!d().own} fallback={<span class="muted">The code has a nixspace.toml of its own.</span>}>
        <Show
          when={d().choices.length}
          fallback={
            <span class="muted">
              {hasFlake(d())
                ? "The environment is that of the code's flake.nix."
                : "No file says what the code needs. Write it down here."}
            </span>
          }
        >
          <dl class="reasons">
            <For each={d().choices}>
              {(c) => (
                <div class="row wrap">
                  <dt>
                    <strong>{choiceText(c)}</strong>
                  </dt>
                  <dd class="muted">{c.reason.replaceAll("`", "")}</dd>
                </div>
              )}
            </For>
          </dl>
        </Show>
      </Show>
      <For each={d().conflicts}>{(c) => <p>Conflict: {c.replaceAll("`", "")}</p>}</For>
      <For each={d().lacks}>{(l) => <p>Missing: {l.replaceAll("`", "")}</p>}</For>
      <For each={d().notes}>{(n) => <p class="muted">{n.replaceAll("`", "")}</p>}</For>
      <Show when={hasFlake(d()) && (d().own || d().choices.length)}>
        <div>
          <Button onClick={props.onFlake}>Use its flake.nix instead</Button>
        </div>
      </Show>
      <For each={d().defined}>
        {(x) => (
          <p class="muted">
            There is a {x.tool}, too: {x.file}
          </p>
        )}
      </For>
    </section>
  );
}
