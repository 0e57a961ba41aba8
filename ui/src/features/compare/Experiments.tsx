import { A } from "@solidjs/router";
import { For, Show } from "solid-js";
import { live } from "../../api/live";
import { Cli } from "../../components/Cli";
import { count } from "../../components/format";
import { Card, Page } from "../../components/Page";
import { Empty, Loaded } from "../../components/States";
import { Time } from "../../components/Time";
import { kindWord, StatusBadge } from "./kinds";
import { ExperimentListDoc } from "./queries";
import "./compare.css";

/** What was run side by side, compared, bisected and checked. */
export default function Experiments() {
  const list = live(
    ExperimentListDoc,
    () => ({ first: 100 }),
    (e) => e.kind.startsWith("experiment."),
  );
  return (
    <Page
      title="Experiments"
      sub="A command on several versions: side by side, measured, or searched for what broke it."
    >
      <div class="stack">
        <Card>
          <Loaded of={list}>
            {(data) => (
              <Show
                when={data().experiments.length > 0}
                fallback={
                  <Empty icon="chart" title="No experiments yet">
                    <Cli args={["run", "shop", "--matrix", "postgresql=13,14,15", "--", "npm", "test"]} />
                  </Empty>
                }
              >
                <div class="scroll-x">
                  <table class="table">
                    <thead>
                      <tr>
                        <th>Experiment</th>
                        <th>Status</th>
                        <th>Command</th>
                        <th>On</th>
                        <th>Begun</th>
                      </tr>
                    </thead>
                    <tbody>
                      <For each={data().experiments}>
                        {(e) => (
                          <tr>
                            <td class="nowrap">
                              <A href={`/x/${e.number}`}>
                                {kindWord(e.kind)} {e.number}
                              </A>
                            </td>
                            <td>
                              <StatusBadge status={e.status} />
                            </td>
                            <td>
                              <code class="mono">{e.command.join(" ")}</code>
                            </td>
                            <td title={e.subjects.map((s) => s.label).join("\n")}>
                              {count(e.subjects.length, "version")}
                            </td>
                            <td class="nowrap">
                              <Time at={e.createdAt} />
                            </td>
                          </tr>
                        )}
                      </For>
                    </tbody>
                  </table>
                </div>
              </Show>
            )}
          </Loaded>
        </Card>
        <Cli args={["experiments"]} />
      </div>
    </Page>
  );
}
