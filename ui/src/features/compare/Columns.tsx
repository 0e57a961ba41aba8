import { createMemo, createSignal, For, Show } from "solid-js";
import { request } from "../../api/client";
import { Button } from "../../components/Button";
import { duration } from "../../components/format";
import { toastError } from "../../components/Toasts";
import { value } from "./answer";
import { type Experiment, ExperimentOutputDoc, type Run } from "./queries";

/** What a program printed, without the colours that a page has no use for. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with a control character
const plain = (s: string) => s.replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, "").replace(/\r/g, "");

export function exitTone(r: Run | undefined): "green" | "red" | "amber" | "grey" {
  if (!r) return "grey";
  if (r.exitCode === 0) return "green";
  if (r.exitCode !== null || r.status === "FAILED") return "red";
  return r.status === "RUNNING" || r.status === "QUEUED" ? "amber" : "grey";
}

export function exitText(r: Run | undefined): string {
  if (!r) return "waiting";
  if (r.exitCode === 0) return "passed";
  if (r.exitCode !== null) return `exit code ${r.exitCode}`;
  return r.status === "RUNNING" ? "running" : r.status === "CANCELED" ? "interrupted" : "failed";
}

/** One column for each subject, with what its command prints as it prints it. */
export function Columns(props: { experiment: Experiment; output: Record<string, string> }) {
  const bySubject = createMemo(() => {
    const m = new Map<string, Run>();
    for (const r of props.experiment.runs) m.set(r.subject, r);
    return m;
  });
  return (
    <div class="run-columns">
      <For each={props.experiment.subjects}>
        {(s) => (
          <Column label={s.label} run={bySubject().get(s.label)} live={props.output} experiment={props.experiment} />
        )}
      </For>
    </div>
  );
}

function Column(props: { label: string; run: Run | undefined; live: Record<string, string>; experiment: Experiment }) {
  const [stored, setStored] = createSignal<string>();
  const text = () => stored() ?? plain(props.live[props.run?.key ?? ""] ?? "");
  const load = async () => {
    if (!props.run) return;
    try {
      const got = await request(ExperimentOutputDoc, { ref: props.experiment.id, seq: props.run.seq });
      const r = got.experiment?.run;
      setStored(plain((r?.stdout ?? "") + (r?.stderr ?? "")) || "It printed nothing.");
    } catch (e) {
      toastError(e);
    }
  };
  return (
    <section class="card run-column" aria-label={props.label}>
      <header>
        <h3 class="cut" title={props.label}>
          {props.label}
        </h3>
        <span class={`badge ${exitTone(props.run)}`}>
          <i class={`dot ${exitTone(props.run)}`} classList={{ beat: props.run?.status === "RUNNING" }} />
          {exitText(props.run)}
        </span>
      </header>
      <div class="run-facts small muted">
        <Show when={props.run?.usage} fallback={<span>{props.run?.error || "–"}</span>}>
          {(u) => (
            <>
              <span title="Time by the machine's clock">{duration(u().wall * 1000)}</span>
              <span title="Processor time">{`${duration((u().user + u().system) * 1000)} CPU`}</span>
              <span title="The most that any one process held">{value(u().memory, "B")}</span>
            </>
          )}
        </Show>
      </div>
      <Show when={text() || !props.run?.finishedAt}>
        <pre class="run-output" tabindex="0">
          {text()}
        </pre>
      </Show>
      <Show when={props.run?.finishedAt && stored() === undefined}>
        <div class="run-more">
          <Button small onClick={load}>
            Show the whole output
          </Button>
        </div>
      </Show>
    </section>
  );
}
