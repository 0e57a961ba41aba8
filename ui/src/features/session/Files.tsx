import { createEffect, createSignal, For, on, onCleanup, Show } from "solid-js";
import { get, put } from "../../api/client";
import { base } from "../../app/base";
import { Button } from "../../components/Button";
import { Cli } from "../../components/Cli";
import { bytes, count } from "../../components/format";
import { Icon } from "../../components/Icon";
import { Card } from "../../components/Page";
import { toast, toastError } from "../../components/Toasts";
import { type Entry, tar } from "../create/tar";
import { openCode } from "../preview/open";
import { type Dropped, dropped } from "./drop";

interface Info {
  path: string;
  type: string;
  size: number;
}

const home = "/workspace";
const shownMax = 300;
const inMemoryMax = 512 * 1024 * 1024; // bytes of folders that a page packs

/** The files of a session: look, take, and bring, also by dropping them anywhere on the page. */
export function SessionFiles(props: { session: string; sessionRef: string; running: boolean }) {
  const [dir, setDir] = createSignal(home);
  const [open, setOpen] = createSignal(false);
  const [files, setFiles] = createSignal<Info[]>([]);
  const [busy, setBusy] = createSignal("");
  const [over, setOver] = createSignal(false);
  const api = () => `/api/v1/sessions/${encodeURIComponent(props.session)}`;
  const address = (path: string) => `${api()}/files?path=${encodeURIComponent(path)}`;
  const nameOf = (path: string) => path.slice(path.lastIndexOf("/") + 1);

  const load = async () => {
    try {
      const list = (await get<{ files: Info[] }>(`${api()}/list?path=${encodeURIComponent(dir())}`)).files;
      setFiles(list.sort((a, b) => Number(b.type === "dir") - Number(a.type === "dir") || (a.path < b.path ? -1 : 1)));
    } catch (e) {
      toastError(e);
    }
  };
  createEffect(
    on([open, dir, () => props.running], ([show, , running]) => {
      if (show && running) void load();
    }),
  );

  const upload = async (list: Dropped[]) => {
    if (list.length === 0) return;
    try {
      const size = list.reduce((n, d) => n + d.file.size, 0);
      setBusy(`Uploading ${count(list.length, "file")}, ${bytes(size)}…`);
      const alone = list.length === 1 && !list[0]!.path.includes("/") ? list[0]! : undefined;
      if (alone) {
        await put(`${address(dir())}&format=raw&name=${encodeURIComponent(alone.path)}`, alone.file);
      } else {
        if (size > inMemoryMax) throw new Error(`${bytes(size)} are too much for a page; use nixspace cp`);
        const entries: Entry[] = [];
        for (const d of list) {
          const data = new Uint8Array(await d.file.arrayBuffer());
          entries.push({ path: d.path, data, executable: data[0] === 0x23 && data[1] === 0x21 });
        }
        await put(`${address(dir())}&format=tar`, new Blob([tar(entries)]));
      }
      toast(`Uploaded ${count(list.length, "file")}`, "green", `They are in ${dir()}.`);
      if (open()) await load();
    } catch (e) {
      toastError(e instanceof Error && e.name === "Error" ? e.message : e);
    } finally {
      setBusy("");
    }
  };

  // Anywhere on the page. The depth tells leaving the page from leaving an element of it.
  let depth = 0;
  const hasFiles = (e: DragEvent) => props.running && e.dataTransfer?.types.includes("Files");
  const enter = (e: DragEvent) => {
    if (!hasFiles(e)) return;
    depth++;
    setOver(true);
  };
  const leave = (e: DragEvent) => {
    if (hasFiles(e) && --depth <= 0) setOver(false);
  };
  const hover = (e: DragEvent) => hasFiles(e) && e.preventDefault();
  const drop = (e: DragEvent) => {
    if (!hasFiles(e) || !e.dataTransfer) return;
    e.preventDefault();
    depth = 0;
    setOver(false);
    dropped(e.dataTransfer.items).then(upload, (err) => toastError(err instanceof Error ? err.message : err));
  };
  document.addEventListener("dragenter", enter);
  document.addEventListener("dragleave", leave);
  document.addEventListener("dragover", hover);
  document.addEventListener("drop", drop);
  onCleanup(() => {
    document.removeEventListener("dragenter", enter);
    document.removeEventListener("dragleave", leave);
    document.removeEventListener("dragover", hover);
    document.removeEventListener("drop", drop);
  });

  const chosen = (list: FileList | null) =>
    upload([...(list ?? [])].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
  const parent = () => dir().slice(0, dir().lastIndexOf("/")) || "/";
  return (
    <>
      <Card
        title="Files"
        end={
          <span class="row">
            <label class="btn small" classList={{ disabled: !props.running }} title="Upload files">
              <Icon name="upload" size={14} />
              Upload
              <input
                class="unseen"
                type="file"
                multiple
                disabled={!props.running || busy() !== ""}
                onChange={(e) => {
                  void chosen(e.currentTarget.files);
                  e.currentTarget.value = "";
                }}
              />
            </label>
          </span>
        }
      >
        <Show
          when={open() && props.running}
          fallback={
            <div class="body stack tight">
              <p class="muted small">Drop files and folders anywhere on this page; they go to {dir()}.</p>
              <div class="row">
                <Button small icon="folder" disabled={!props.running} onClick={() => setOpen(true)}>
                  Browse
                </Button>
              </div>
            </div>
          }
        >
          <div class="file-path row small">
            <Button
              small
              look="plain"
              icon="undo"
              aria-label="The folder above"
              disabled={dir() === "/"}
              onClick={() => setDir(parent())}
            />
            <code class="grow cut" title={dir()}>
              {dir()}
            </code>
            <Show when={dir() !== "/"}>
              <a
                class="btn plain small icon"
                href={base + address(dir())}
                title="Download as ZIP"
                aria-label="Download as ZIP"
              >
                <Icon name="download" />
              </a>
            </Show>
          </div>
          <Show when={files().length} fallback={<p class="body muted small">It is empty.</p>}>
            <ul class="list files-list">
              <For each={files().slice(0, shownMax)}>
                {(f) => (
                  <li class="item slim">
                    <Icon name={f.type === "dir" ? "folder" : "file"} size={14} />
                    <Show
                      when={f.type === "dir"}
                      fallback={
                        <Show when={f.type === "file"} fallback={<span class="grow cut small">{nameOf(f.path)}</span>}>
                          <a class="grow cut small link-plain" href={base + address(f.path)} download={nameOf(f.path)}>
                            {nameOf(f.path)}
                          </a>
                        </Show>
                      }
                    >
                      <button type="button" class="grow cut small file-name" onClick={() => setDir(f.path)}>
                        {nameOf(f.path)}
                      </button>
                    </Show>
                    <Show when={f.type === "file"}>
                      <span class="faint tiny num">{bytes(f.size)}</span>
                      <Button
                        small
                        look="plain"
                        icon="expand"
                        aria-label={`Open ${nameOf(f.path)} in VS Code`}
                        onClick={() => void openCode(props.session, f.path)}
                      />
                    </Show>
                  </li>
                )}
              </For>
            </ul>
            <Show when={files().length > shownMax}>
              <p class="body faint tiny">and {files().length - shownMax} more</p>
            </Show>
          </Show>
          <div class="body">
            <Cli args={["cp", `${props.sessionRef}:${dir()}`, "."]} />
          </div>
        </Show>
        <Show when={busy()}>
          <p class="body small" role="status">
            {busy()}
          </p>
        </Show>
      </Card>
      <Show when={over()}>
        <div class="drop-here">
          <div>
            <Icon name="upload" size={28} />
            <strong>Drop to upload</strong>
            <span class="muted small">into {dir()}</span>
          </div>
        </div>
      </Show>
    </>
  );
}
