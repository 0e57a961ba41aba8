import { createEffect, createMemo, createSignal, For, on, Show } from "solid-js";
import { type ApiError, asApiError, request } from "../../api/client";
import { live } from "../../api/live";
import { Button } from "../../components/Button";
import { Problem } from "../../components/States";
import { toast } from "../../components/Toasts";
import { BranchDialog } from "./BranchDialog";
import { type Completion, complete, lineDiff } from "./complete";
import { ChangeDoc, type Env, OfferedDoc } from "./queries";

interface Fault {
  line: number;
  column: number;
  message: string;
  hint?: string;
}

/** Edits nixspace.toml, with the names and versions of packages at hand. */
export function ManifestEditor(props: { env: Env; text: string }) {
  const offered = live(
    OfferedDoc,
    () => ({}),
    () => false,
  );
  const [text, setText] = createSignal(props.text);
  const [failure, setFailure] = createSignal<ApiError>();
  const [busy, setBusy] = createSignal(false);
  const [branching, setBranching] = createSignal(false);
  const [list, setList] = createSignal<Completion>();
  const [at, setAt] = createSignal(0);
  const [place, setPlace] = createSignal({ left: 0, top: 0 });
  let area!: HTMLTextAreaElement;
  let gauge!: HTMLSpanElement;
  const dirty = () => text() !== props.text;
  const changed = createMemo(() => (dirty() ? lineDiff(props.text, text()) : []));
  const faults = () => (failure()?.details.problems as Fault[] | undefined) ?? [];

  // A new version of somebody else's takes the place of a text that nobody has touched.
  createEffect(on([() => props.text], ([now], before) => before && text() === before[0] && setText(now)));

  const look = (asked: boolean) => {
    const caret = area.selectionStart;
    if (caret !== area.selectionEnd) return setList(undefined);
    const found = complete(area.value, caret, offered.data()?.packages ?? []);
    const typed = found ? caret - found.from : 0;
    setList(found && (asked || typed > 0 || area.value[caret - 1] === '"') ? found : undefined);
    setAt(0);
    if (!found) return;
    const before = area.value.slice(0, found.from).split("\n");
    const char = gauge.getBoundingClientRect();
    setPlace({
      left: Math.min(area.clientWidth - 200, 12 + before.at(-1)!.length * (char.width / 10) - area.scrollLeft),
      top: 12 + before.length * char.height - area.scrollTop,
    });
  };
  const accept = (i: number) => {
    const c = list();
    const option = c?.options[i];
    if (!c || !option) return;
    area.setRangeText(option.insert, c.from, area.selectionStart, "end");
    setText(area.value);
    setList(undefined);
    area.focus();
    if (option.insert.endsWith('"')) look(true); // a name was taken: its versions are next
  };
  const onKey = (e: KeyboardEvent) => {
    const c = list();
    if (e.key === " " && e.ctrlKey) look(true);
    else if ((e.key === "s" || e.key === "Enter") && (e.ctrlKey || e.metaKey)) {
      if (dirty() && !busy()) void save();
    } else if (!c) return;
    else if (e.key === "ArrowDown") setAt((at() + 1) % c.options.length);
    else if (e.key === "ArrowUp") setAt((at() - 1 + c.options.length) % c.options.length);
    else if (e.key === "Enter" || e.key === "Tab") accept(at());
    else if (e.key === "Escape") setList(undefined);
    else return;
    e.preventDefault();
  };
  const save = async () => {
    setBusy(true);
    setFailure(undefined);
    try {
      await request(ChangeDoc, {
        input: { ref: props.env.ref, edits: [], manifest: text(), expectedHead: props.env.head.hash },
      });
      toast(`Changed ${props.env.ref}`, "green", "Its earlier content stays in the history.");
    } catch (e) {
      setFailure(asApiError(e));
    } finally {
      setBusy(false);
    }
  };
  const jump = (f: Fault) => {
    const lines = area.value.split("\n");
    const start = lines.slice(0, f.line - 1).reduce((n, l) => n + l.length + 1, 0);
    area.focus();
    area.setSelectionRange(start + f.column - 1, start + (lines[f.line - 1]?.length ?? 0));
  };
  return (
    <>
      <Show when={failure()}>
        {(e) => (
          <div class="body stack tight">
            <Problem error={e()} />
            <ul class="stack tight small">
              <For each={faults()}>
                {(f) => (
                  <li>
                    <button type="button" class="link-button" onClick={() => jump(f)}>
                      Line {f.line}
                    </button>{" "}
                    {f.message}
                    <Show when={f.hint}>
                      <span class="muted">. {f.hint}</span>
                    </Show>
                  </li>
                )}
              </For>
            </ul>
          </div>
        )}
      </Show>
      <div class="manifest-editor">
        <span class="gauge mono" aria-hidden="true" ref={gauge}>
          0000000000
        </span>
        <textarea
          ref={area}
          class="mono"
          aria-label="nixspace.toml"
          aria-autocomplete="list"
          aria-controls={list() ? "completions" : undefined}
          aria-activedescendant={list() ? `completion-${at()}` : undefined}
          rows={Math.min(40, Math.max(14, text().split("\n").length + 2))}
          spellcheck={false}
          autocomplete="off"
          wrap="off"
          value={text()}
          onInput={(e) => {
            setText(e.currentTarget.value);
            look(false);
          }}
          onKeyDown={onKey}
          onScroll={() => setList(undefined)}
          onBlur={() => setTimeout(() => setList(undefined), 150)}
        />
        <Show when={list()}>
          {(c) => (
            <div
              class="completions"
              id="completions"
              role="listbox"
              aria-label="What fits here"
              style={{ left: `${place().left}px`, top: `${place().top}px` }}
            >
              <For each={c().options}>
                {(o, i) => (
                  // biome-ignore lint/a11y: the keys are those of the text, which keeps the focus
                  <div
                    id={`completion-${i()}`}
                    class="option"
                    role="option"
                    aria-selected={i() === at()}
                    onPointerDown={(e) => {
                      e.preventDefault();
                      accept(i());
                    }}
                  >
                    <span class="mono">{o.insert.replace(/ = "?$/, "")}</span>
                    <span class="faint tiny cut">{o.detail}</span>
                  </div>
                )}
              </For>
            </div>
          )}
        </Show>
      </div>
      <Show
        when={dirty()}
        fallback={
          <p class="card-foot faint tiny">
            Names and versions of packages are offered while you type, and with <kbd>Ctrl</kbd> <kbd>Space</kbd>.
          </p>
        }
      >
        <pre class="code line-diff">
          <For each={changed()}>
            {(l) => (
              <span classList={{ ins: l.op === "+", del: l.op === "-" }}>
                {l.op} {l.text}
                {"\n"}
              </span>
            )}
          </For>
        </pre>
        <div class="pending" role="status">
          <span class="grow">
            <strong>Not saved</strong>
          </span>
          <Button
            small
            look="plain"
            onClick={() => {
              setText(props.text);
              setFailure(undefined);
            }}
          >
            Discard
          </Button>
          <Button small disabled={busy() || props.env.protected} onClick={save}>
            {busy() ? "Saving…" : "Change it here"}
          </Button>
          <Button small look="primary" icon="branch" onClick={() => setBranching(true)}>
            Branch with this change
          </Button>
        </div>
      </Show>
      <Show when={branching()}>
        <BranchDialog
          project={props.env.projectSlug}
          from={props.env.name}
          fromRef={props.env.ref}
          edits={[]}
          manifest={text()}
          onClose={() => setBranching(false)}
        />
      </Show>
    </>
  );
}
