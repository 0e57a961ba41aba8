import { useNavigate } from "@solidjs/router";
import { createSignal, For, Show } from "solid-js";
import { ApiError, request, uploadWorkspace } from "../../api/client";
import { gql } from "../../api/gql";
import type { CreateProjectMutation, CreateProjectMutationVariables } from "../../api/types";
import { Button } from "../../components/Button";
import { Cli } from "../../components/Cli";
import { bytes, count } from "../../components/format";
import { Icon } from "../../components/Icon";
import { Card, Page } from "../../components/Page";
import { Problem } from "../../components/States";
import { toast } from "../../components/Toasts";
import { type Entry, tar, wanted } from "./tar";
import { templates } from "./templates";

const CreateDoc = gql<CreateProjectMutation, CreateProjectMutationVariables>(/* GraphQL */ `
  mutation CreateProject($input: CreateProjectInput!) {
    createProject(input: $input) { project { id slug } environment { id ref } build { id } }
  }
`);

/** The code that a project begins with. */
interface Code {
  name: string;
  files: number;
  size: number;
  archive: () => Promise<Blob>;
  manifest?: string;
}

const slugOf = (name: string) =>
  name
    .toLowerCase()
    .replace(/\.(tar(\.gz|\.zst)?|tgz)$/, "")
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 40);

async function fromFolder(list: FileList): Promise<Code> {
  const files = [...list]
    .map((file) => ({ file, path: file.webkitRelativePath.split("/").slice(1).join("/") }))
    .filter((f) => wanted(f.path))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const manifest = await files.find((f) => f.path === "nixspace.toml")?.file.text();
  return {
    name: list[0]?.webkitRelativePath.split("/")[0] ?? "code",
    files: files.length,
    size: files.reduce((n, f) => n + f.file.size, 0),
    manifest,
    archive: async () => {
      const entries: Entry[] = [];
      for (const f of files) {
        const data = new Uint8Array(await f.file.arrayBuffer());
        // A browser does not tell whether a file is a program; one that names its interpreter is.
        entries.push({ path: f.path, data, executable: data[0] === 0x23 && data[1] === 0x21 });
      }
      return new Blob([tar(entries)]);
    },
  };
}

export default function New() {
  const navigate = useNavigate();
  const [slug, setSlug] = createSignal("");
  const [code, setCode] = createSignal<Code>();
  const [manifest, setManifest] = createSignal(templates[0]!.manifest);
  const [chosen, setChosen] = createSignal(templates[0]!.name);
  const [failure, setFailure] = createSignal<ApiError>();
  const [busy, setBusy] = createSignal("");
  const take = (c: Code) => {
    setCode(c);
    if (!slug()) setSlug(slugOf(c.name));
    if (c.manifest) {
      setManifest(c.manifest);
      setChosen("");
    }
  };
  const submit = async (e: SubmitEvent) => {
    e.preventDefault();
    setFailure(undefined);
    try {
      let workspace = "";
      const c = code();
      if (c) {
        setBusy("Uploading…");
        workspace = (await uploadWorkspace(await c.archive())).digest;
      }
      setBusy("Creating…");
      const { createProject: made } = await request(CreateDoc, {
        input: { slug: slug(), source: c ? `upload of ${c.name}` : "template", workspace, manifest: manifest() },
      });
      toast(`Made ${made.environment.ref}`);
      navigate(made.build ? `/builds/${made.build.id}` : `/e/${made.environment.ref}`);
    } catch (err) {
      setFailure(err instanceof ApiError ? err : new ApiError(String(err), "unknown", "internal"));
      setBusy("");
    }
  };
  return (
    <Page title="New project" sub={<span>One code base, and the environments that it is worked on in.</span>}>
      <form class="stack new-form" onSubmit={submit}>
        <Show when={failure()}>{(e) => <Problem error={e()} />}</Show>
        <Card title="Code" end={<span class="faint tiny">optional</span>}>
          <div class="body row wrap">
            <label class="btn">
              <Icon name="upload" /> Choose a folder
              <input
                class="unseen"
                type="file"
                ref={(el) => el.setAttribute("webkitdirectory", "")}
                onChange={async (e) => e.currentTarget.files?.length && take(await fromFolder(e.currentTarget.files))}
              />
            </label>
            <label class="btn">
              <Icon name="box" /> Choose an archive
              <input
                class="unseen"
                type="file"
                accept=".tar,.gz,.tgz,.zst"
                onChange={(e) => {
                  const f = e.currentTarget.files?.[0];
                  if (f) take({ name: f.name, files: 0, size: f.size, archive: async () => f });
                }}
              />
            </label>
            <Show when={code()} fallback={<span class="muted small">It will be in /workspace of every session.</span>}>
              {(c) => (
                <span class="small">
                  <strong>{c().name}</strong>{" "}
                  <span class="muted num">
                    {c().files ? `${count(c().files, "file")}, ` : ""}
                    {bytes(c().size)}
                  </span>
                </span>
              )}
            </Show>
          </div>
        </Card>
        <label class="field">
          <span>Name</span>
          <input
            class="input"
            required
            placeholder="shop"
            spellcheck={false}
            autocomplete="off"
            value={slug()}
            onInput={(e) => setSlug(e.currentTarget.value)}
          />
          <small>Lower-case letters, digits and dashes. Its first environment has the same name.</small>
        </label>
        <Card title="Environment" end={<span class="faint tiny">nixspace.toml</span>}>
          <div class="body stack">
            <fieldset class="template-grid" aria-label="Begin with">
              <For each={templates}>
                {(t) => (
                  <button
                    type="button"
                    class="template"
                    aria-pressed={chosen() === t.name}
                    onClick={() => {
                      setManifest(t.manifest);
                      setChosen(t.name);
                    }}
                  >
                    <strong>{t.name}</strong>
                    <span class="muted tiny">{t.about}</span>
                  </button>
                )}
              </For>
            </fieldset>
            <label class="field">
              <span class="unseen">nixspace.toml</span>
              <textarea
                class="input"
                rows="16"
                spellcheck={false}
                value={manifest()}
                onInput={(e) => {
                  setManifest(e.currentTarget.value);
                  setChosen("");
                }}
              />
            </label>
          </div>
        </Card>
        <div class="row wide wrap">
          <div class="grow">
            <Cli args={["create", slug() || "NAME", code() ? `./${code()!.name}` : "./FOLDER"]} />
          </div>
          <Button look="primary" type="submit" icon="plus" disabled={busy() !== "" || !slug()}>
            {busy() || "Create"}
          </Button>
        </div>
      </form>
    </Page>
  );
}
