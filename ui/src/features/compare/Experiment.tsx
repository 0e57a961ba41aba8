import { useNavigate, useParams } from "@solidjs/router";
import { createEffect, For, Match, on, onCleanup, Show, Switch } from "solid-js";
import { createStore } from "solid-js/store";
import { request } from "../../api/client";
import { live, subscribe } from "../../api/live";
import { Button } from "../../components/Button";
import { Cli } from "../../components/Cli";
import { bytes, growth } from "../../components/format";
import { Card, Page } from "../../components/Page";
import { Empty, Loaded } from "../../components/States";
import { Time } from "../../components/Time";
import { toastError } from "../../components/Toasts";
import {
  type BisectAnswer,
  type CheckAnswer,
  type CompareAnswer,
  percent,
  type TestTable,
  telling,
  value,
} from "./answer";
import { BoxPlot } from "./BoxPlot";
import { Columns } from "./Columns";
import { kindWord, StatusBadge } from "./kinds";
import {
  CancelExperimentDoc,
  type Experiment,
  ExperimentNewsDoc,
  ExperimentPageDoc,
  RepeatExperimentDoc,
  ResumeExperimentDoc,
} from "./queries";
import "./compare.css";

/** How much of what a command prints is kept on the page. */
const kept = 64 << 10;

/** A command on several versions, as it runs and as it ended. */
export default function ExperimentPage() {
  const params = useParams<{ number: string }>();
  const page = live(ExperimentPageDoc, () => ({ ref: params.number }));
  const [output, setOutput] = createStore<Record<string, string>>({});
  createEffect(
    on(
      () => params.number,
      (ref) => {
        let wait: ReturnType<typeof setTimeout> | undefined;
        const again = () => {
          wait ??= setTimeout(() => {
            wait = undefined;
            void page.refetch();
          }, 300);
        };
        const stop = subscribe(
          ExperimentNewsDoc,
          () => ({ ref }),
          ({ experimentUpdates: n }) => {
            const o = n.output;
            if (o) setOutput(o.key, (t = "") => (t + o.text).slice(-kept));
            else again();
          },
        );
        onCleanup(() => {
          clearTimeout(wait);
          stop();
        });
      },
    ),
  );
  return (
    <Loaded of={page} lines={6}>
      {(data) => (
        <Show
          when={data().experiment}
          fallback={<Empty icon="chart" title={`There is no experiment ${params.number}`} />}
        >
          {(e) => <Shown e={e()} output={output} refetch={page.refetch} />}
        </Show>
      )}
    </Loaded>
  );
}

function Shown(props: { e: Experiment; output: Record<string, string>; refetch: () => Promise<void> }) {
  const e = () => props.e;
  const navigate = useNavigate();
  const open = () => e().status === "QUEUED" || e().status === "RUNNING";
  const act = async (f: () => Promise<unknown>) => {
    try {
      await f();
      await props.refetch();
    } catch (err) {
      toastError(err);
    }
  };
  const ref = () => ({ ref: e().id });
  return (
    <Page
      title={`${kindWord(e().kind)} ${e().number}`}
      crumbs={[
        { text: e().project.slug, href: `/p/${e().project.slug}` },
        { text: "Experiments", href: "/experiments" },
      ]}
      sub={
        <>
          <StatusBadge status={e().status} />
          <code class="mono">{e().command.join(" ")}</code>
          <span>
            by {e().author}, <Time at={e().createdAt} />
          </span>
        </>
      }
      actions={
        <>
          <Show when={open()}>
            <Button icon="stop" onClick={() => act(() => request(CancelExperimentDoc, ref()))}>
              Interrupt
            </Button>
          </Show>
          <Show when={e().status === "CANCELED" || e().status === "FAILED"}>
            <Button icon="play" onClick={() => act(() => request(ResumeExperimentDoc, ref()))}>
              Go on
            </Button>
          </Show>
          <Show when={!open()}>
            <Button
              icon="again"
              onClick={() =>
                act(async () => {
                  const r = await request(RepeatExperimentDoc, ref());
                  navigate(`/x/${r.repeatExperiment.number}`);
                })
              }
            >
              Repeat
            </Button>
          </Show>
        </>
      }
    >
      <div class="stack">
        <Show when={e().error}>
          <div class="notice red" role="alert">
            <p>{e().error}</p>
          </div>
        </Show>
        <Switch>
          <Match when={e().kind === "COMPARE"}>
            <Compared answer={e().answer as CompareAnswer | null} />
          </Match>
          <Match when={e().kind === "BISECT"}>
            <Bisected answer={e().answer as BisectAnswer | null} />
          </Match>
          <Match when={e().kind === "CHECK" || e().kind === "UPGRADES"}>
            <Checked answer={e().answer as CheckAnswer | null} upgrades={e().kind === "UPGRADES"} />
          </Match>
          <Match when={e().kind === "RUN"}>
            <Tests table={(e().answer as { tests: TestTable | null } | null)?.tests} />
            <Columns experiment={e()} output={props.output} />
          </Match>
        </Switch>
        <Cli args={["experiments", "show", String(e().number)]} />
      </div>
    </Page>
  );
}

function Compared(props: { answer: CompareAnswer | null }) {
  return (
    <Show when={props.answer} fallback={<Empty icon="chart" title="Nothing is measured yet" />}>
      {(a) => (
        <>
          <For each={telling(a().measures)}>
            {(m) => (
              <Card
                title={m.name}
                end={<span class="faint small">{m.higherIsBetter ? "higher is better" : "lower is better"}</span>}
              >
                <BoxPlot measure={m} confidence={a().plan.confidence} />
              </Card>
            )}
          </For>
          <p class="faint small">
            Boxes are quartiles, the line in them the median, the bar below its interval, circles outliers. Verdicts are
            by Mann-Whitney, corrected for the number of comparisons, at a confidence of {percent(a().plan.confidence)}.
            <Show when={a().imprecise.length > 0}>
              {` Not as precise as wanted after ${a().plan.maxRuns} runs: ${a().imprecise.join(", ")}.`}
            </Show>
          </p>
        </>
      )}
    </Show>
  );
}

function Tests(props: { table: TestTable | null | undefined }) {
  return (
    <Show when={props.table}>
      {(t) => (
        <Card title="Tests" end={<span class="faint small">{t().passed} pass everywhere</span>}>
          <Show when={t().rows.length > 0} fallback={<p class="body muted">All tests pass everywhere.</p>}>
            <div class="scroll-x">
              <table class="table">
                <thead>
                  <tr>
                    <th>Test</th>
                    <For each={t().subjects}>{(s) => <th>{s}</th>}</For>
                  </tr>
                </thead>
                <tbody>
                  <For each={t().rows}>
                    {(r) => (
                      <tr>
                        <td title={r.detail}>{r.name}</td>
                        <For each={r.statuses}>{(s) => <td class={`status-${s}`}>{s || "–"}</td>}</For>
                      </tr>
                    )}
                  </For>
                </tbody>
              </table>
            </div>
          </Show>
        </Card>
      )}
    </Show>
  );
}

function Bisected(props: { answer: BisectAnswer | null }) {
  return (
    <Show when={props.answer} fallback={<Empty icon="search" title="Nothing is tried yet" />}>
      {(a) => (
        <>
          <Show when={a().first}>
            <Card title="First bad version">
              <div class="body stack tight">
                <p>
                  <code class="mono">{a().first.slice(0, 12)}</code> {a().message}{" "}
                  <span class="muted">({a().author})</span>
                </p>
                <Show when={a().guilty?.length}>
                  <p>
                    {a().minimal ? "To blame: " : "Left to blame: "}
                    <b>{a().guilty!.join(", ")}</b>
                  </p>
                </Show>
                <ul>
                  <For each={a().changes}>
                    {(c) => (
                      <li>
                        <code class="mono">{c.path}</code> {c.from ?? ""} → {c.to ?? "removed"}
                      </li>
                    )}
                  </For>
                </ul>
              </div>
            </Card>
          </Show>
          <Card title="How it came to that">
            <ol class="bisect-log">
              <For each={a().log}>{(l) => <li>{l}</li>}</For>
            </ol>
          </Card>
        </>
      )}
    </Show>
  );
}

function Checked(props: { answer: CheckAnswer | null; upgrades: boolean }) {
  const base = () => props.answer?.subjects[0];
  return (
    <Show when={props.answer} fallback={<Empty icon="check" title="Nothing is checked yet" />}>
      {(a) => (
        <Card title={props.upgrades ? "Upgrades" : "Checks"}>
          <div class="scroll-x">
            <table class="table">
              <thead>
                <tr>
                  <th>{props.upgrades ? "Upgrade" : "On"}</th>
                  <th>Checks</th>
                  <th class="right">Time</th>
                  <th class="right">Size</th>
                </tr>
              </thead>
              <tbody>
                <For each={a().subjects}>
                  {(s, i) => (
                    <tr>
                      <td>{s.subject}</td>
                      <td>
                        <span class="row wrap">
                          <For each={s.checks}>
                            {(c) => (
                              <span
                                class={`badge ${c.run === 0 ? "grey" : c.passed ? "green" : "red"}`}
                                title={c.error}
                              >
                                {c.name}
                              </span>
                            )}
                          </For>
                        </span>
                      </td>
                      <td class="right nowrap">{value(s.seconds, "s")}</td>
                      <td class="right nowrap">
                        {s.size ? bytes(s.size) : "–"}
                        <Show when={i() > 0 && s.size && base()?.size}>
                          <span class="faint"> {growth(s.size - base()!.size)}</span>
                        </Show>
                      </td>
                    </tr>
                  )}
                </For>
              </tbody>
            </table>
          </div>
        </Card>
      )}
    </Show>
  );
}
