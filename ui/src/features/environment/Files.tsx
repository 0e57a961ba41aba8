import { createSignal, For, Show } from "solid-js";
import { live } from "../../api/live";
import { Button } from "../../components/Button";
import { Cli, copy } from "../../components/Cli";
import { Card } from "../../components/Page";
import { Loaded } from "../../components/States";
import { toast } from "../../components/Toasts";
import { ManifestEditor } from "./ManifestEditor";
import { type Env, FilesDoc } from "./queries";

const files = [
  { name: "nixspace.toml", key: "manifest", flag: "--manifest" },
  { name: "flake.nix", key: "flake", flag: "--flake" },
  { name: "flake.lock", key: "flakeLock", flag: "--lock" },
] as const;

/** The files that say what a version is: what people write, and what Nix reads. */
export function Files(props: { env: Env }) {
  const [open, setOpen] = createSignal<(typeof files)[number]>(files[0]);
  const data = live(FilesDoc, () => ({ ref: props.env.ref }));
  return (
    <div class="stack">
      <Card>
        <header>
          <fieldset class="segmented" aria-label="File">
            <For each={files}>
              {(f) => (
                <button type="button" aria-pressed={open() === f} onClick={() => setOpen(f)}>
                  {f.name}
                </button>
              )}
            </For>
          </fieldset>
          <Button
            small
            icon="copy"
            aria-label="Copy the file"
            onClick={async () => {
              const text = data.data()?.version?.[open().key];
              if (text && (await copy(text))) toast("Copied");
            }}
          />
        </header>
        <Loaded of={data} lines={8}>
          {(d) => (
            <Show
              when={open().key === "manifest"}
              fallback={
                <pre class="code" tabindex="0">
                  {d().version?.[open().key]}
                </pre>
              }
            >
              <ManifestEditor env={props.env} text={d().version?.manifest ?? ""} />
            </Show>
          )}
        </Loaded>
      </Card>
      <Show when={open().key === "flake"}>
        <Cli args={["show", "--flake", props.env.ref]} />
      </Show>
    </div>
  );
}
