import { useNavigate, useSearchParams } from "@solidjs/router";
import { createSignal, For, onCleanup, Show } from "solid-js";
import { ApiError, request, uploadArchive, uploadWorkspace } from "../../api/client";
import { gql } from "../../api/gql";
import type { CreateProjectMutation, CreateProjectMutationVariables } from "../../api/types";
import { Button } from "../../components/Button";
import { Cli } from "../../components/Cli";
import { bytes, count } from "../../components/format";
import { Card, Page } from "../../components/Page";
import { Problem } from "../../components/States";
import { toast } from "../../components/Toasts";
import { detect, fetchSource, flakeManifest } from "./fetch";
import { Reasons, SourceCard } from "./Source";
import { type Detection, sourceText, type Wanted } from "./source";
import { type Entry, tar, wanted } from "./tar";

const CreateDoc = gql<CreateProjectMutation, CreateProjectMutationVariables>(/* GraphQL */ `
  mutation CreateProject($input: CreateProjectInput!) {
    createProject(input: $input) { project { id slug } environment { id ref } build { id } }
  }
`);

/** Code that the server has. */
interface Code {
  name: string;
  source: string; // in words
  workspace: string;
  files: number;
  size: number;
  notes: string[];
  cli: string[]; // as the command line names it
}

const slugOf = (name: string) =>
  name
    .toLowerCase()
    .replace(/\.(tar(\.gz|\.zst)?|tgz|zip|nix)$/, "")
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 40);

async function packed(list: FileList): Promise<Blob> {
  const files = [...list]
    .map((file) => ({ file, path: file.webkitRelativePath.split("/").slice(1).join("/") }))
    .filter((f) => wanted(f.path))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const entries: Entry[] = [];
  for (const f of files) {
    const data = new Uint8Array(await f.file.arrayBuffer());
    // A browser does not tell whether a file is a program; one that names its interpreter is.
    entries.push({ path: f.path, data, executable: data[0] === 0x23 && data[1] === 0x21 });
  }
  return new Blob([tar(entries)]);
}

const empty = 'schema = 1\n\n[packages]\ngit = "*"\n';

const text = (v: string | string[] | undefined) => (Array.isArray(v) ? v[0] : v) ?? "";

export default function New() {
  const navigate = useNavigate();
  const [query] = useSearchParams();
  const [slug, setSlug] = createSignal("");
  const [code, setCode] = createSignal<Code>();
  const [detection, setDetection] = createSignal<Detection>();
  const [manifest, setManifest] = createSignal(empty);
  const [failure, setFailure] = createSignal<ApiError>();
  const [busy, setBusy] = createSignal("");
  let running: AbortController | undefined;
  let suggested = "";
  onCleanup(() => running?.abort());

  /** Gets code to the server, and shows what it needs. */
  const take = async (saying: string, get: (signal: AbortSignal) => Promise<Code & { suggested?: string }>) => {
    running?.abort();
    const mine = new AbortController();
    running = mine;
    setFailure(undefined);
    setBusy(saying);
    try {
      const c = await get(mine.signal);
      if (mine.signal.aborted) return;
      const name = c.suggested || slugOf(c.name);
      if (!slug() || slug() === suggested) {
        suggested = name;
        setSlug(name);
      }
      setBusy("Looking into it…");
      const d = await detect(c.workspace, slug());
      if (mine.signal.aborted) return;
      setCode(c);
      setDetection(d);
      setManifest(d.manifest);
    } catch (err) {
      if (!mine.signal.aborted) setFailure(asError(err));
    } finally {
      if (running === mine) setBusy("");
    }
  };
  const fromSource = (w: Wanted) =>
    take("Fetching…", async (signal) => {
      const f = await fetchSource(w, setBusy, signal);
      const cli = [w.source, ...(w.ref ? ["--ref", w.ref] : []), ...(w.dir ? ["--dir", w.dir] : [])];
      return {
        name: w.source,
        suggested: f.suggestedName,
        source: sourceText(f),
        workspace: f.code!.workspace,
        files: f.code!.files,
        size: f.code!.size,
        notes: f.code!.notes,
        cli: w.token ? [...cli, "--token-stdin"] : cli,
      };
    });
  const fromFolder = (list: FileList) =>
    take("Uploading…", async () => {
      const name = list[0]?.webkitRelativePath.split("/")[0] ?? "code";
      const ws = await uploadWorkspace(await packed(list));
      return { ...ws, name, source: `upload of ${name}`, workspace: ws.digest, notes: [], cli: [`./${name}`] };
    });
  const fromArchive = (file: File) =>
    take("Uploading…", async () => {
      const ws = await uploadArchive(file);
      return {
        ...ws,
        name: file.name,
        source: `upload of ${file.name}`,
        workspace: ws.digest,
        cli: [`./${file.name}`],
      };
    });
  const useFlake = async () => {
    const c = code();
    if (!c) return;
    try {
      setManifest(await flakeManifest(c.workspace));
    } catch (err) {
      setFailure(asError(err));
    }
  };
  const submit = async (e: SubmitEvent) => {
    e.preventDefault();
    setFailure(undefined);
    setBusy("Creating…");
    try {
      const c = code();
      const { createProject: made } = await request(CreateDoc, {
        input: { slug: slug(), source: c?.source ?? "manifest", workspace: c?.workspace ?? "", manifest: manifest() },
      });
      toast(`Made ${made.environment.ref}`);
      navigate(made.build ? `/builds/${made.build.id}` : `/e/${made.environment.ref}`);
    } catch (err) {
      setFailure(asError(err));
      setBusy("");
    }
  };
  return (
    <Page title="New project" sub={<span>One code base, and the environments that it is worked on in.</span>}>
      <form class="stack new-form" onSubmit={submit}>
        <Show when={failure()}>{(e) => <Problem error={e()} />}</Show>
        <SourceCard
          begin={{
            source: text(query.repo),
            ref: text(query.ref),
            dir: text(query.dir),
            template: text(query.template),
          }}
          busy={busy()}
          chosen={code()?.cli[0] ?? ""}
          onFetch={fromSource}
          onFolder={fromFolder}
          onArchive={fromArchive}
          onCancel={() => {
            running?.abort();
            setBusy("");
          }}
        />
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
            <Show
              when={code()}
              fallback={<span class="muted small">Without code, /workspace is empty in every session.</span>}
            >
              {(c) => (
                <div class="small">
                  <strong>{c().source}</strong>{" "}
                  <span class="muted num">
                    {count(c().files, "file")}, {bytes(c().size)}
                  </span>
                  <For each={c().notes}>{(n) => <p class="muted">{n}</p>}</For>
                </div>
              )}
            </Show>
            <Show when={detection()}>{(d) => <Reasons detection={d()} onFlake={useFlake} />}</Show>
            <label class="field">
              <span class="unseen">nixspace.toml</span>
              <textarea
                class="input"
                rows="16"
                spellcheck={false}
                value={manifest()}
                onInput={(e) => setManifest(e.currentTarget.value)}
              />
            </label>
          </div>
        </Card>
        <div class="row wide wrap">
          <div class="grow">
            <Cli args={["create", slug() || "NAME", ...(code()?.cli ?? ["./FOLDER"])]} />
          </div>
          <Button look="primary" type="submit" icon="plus" disabled={busy() !== "" || !slug()}>
            Create
          </Button>
        </div>
      </form>
    </Page>
  );
}

function asError(err: unknown): ApiError {
  return err instanceof ApiError ? err : new ApiError(String(err), "unknown", "internal");
}
