import { createEffect, createMemo, createSignal, For, on, onCleanup, Show } from "solid-js";
import { request } from "../../api/client";
import { gql } from "../../api/gql";
import type { MachineUsageQuery, MachineUsageQueryVariables } from "../../api/types";
import { bytes } from "../../components/format";
import { Card } from "../../components/Page";
import { busy, points, type Sample } from "./meter";

const UsageDoc = gql<MachineUsageQuery, MachineUsageQueryVariables>(/* GraphQL */ `
  query MachineUsage($ref: String!) {
    session(ref: $ref) { id machine { usage { cpuSeconds memory at } } }
  }
`);

const every = 3000; // ms
const kept = 60; // samples: three minutes

/** What a machine takes of its host, as it goes on. It is measured while somebody looks. */
export function Metrics(props: { session: string; running: boolean; cpus: number; memory: number }) {
  const [samples, setSamples] = createSignal<Sample[]>([]);
  createEffect(
    on([() => props.session, () => props.running], ([session, running]) => {
      setSamples([]);
      if (!running || !session) return;
      const stop = new AbortController();
      const measure = async () => {
        if (document.visibilityState !== "visible") return;
        try {
          const u = (await request(UsageDoc, { ref: session }, stop.signal)).session?.machine?.usage;
          if (u) setSamples((all) => [...all.slice(1 - kept), { ...u, at: Date.parse(u.at) }]);
        } catch {
          // the banner says that the server does not answer; the next measure may succeed
        }
      };
      void measure();
      const timer = setInterval(measure, every);
      onCleanup(() => {
        stop.abort();
        clearInterval(timer);
      });
    }),
  );
  const cpu = createMemo(() => samples().flatMap((s, i, all) => (i ? [busy(all[i - 1]!, s)] : [])));
  const memory = createMemo(() => samples().map((s) => s.memory));
  return (
    <Show when={samples().length}>
      <Card title="On the host" end={<span class="faint tiny">the last {(kept * every) / 60_000} minutes</span>}>
        <div class="meters">
          <Meter
            name="Processors"
            now={cpu().length ? `${cpu().at(-1)!.toFixed(2)} of ${props.cpus}` : "measuring…"}
            values={cpu()}
            most={Math.max(props.cpus, ...cpu())}
          />
          <Meter
            name="Memory"
            now={`${bytes(memory().at(-1)!)} of ${bytes(props.memory)}`}
            values={memory()}
            most={Math.max(props.memory, ...memory())}
          />
        </div>
        <details class="card-foot faint tiny">
          <summary>As a table</summary>
          <table class="table">
            <thead>
              <tr>
                <th>At</th>
                <th class="right">Processors</th>
                <th class="right">Memory</th>
              </tr>
            </thead>
            <tbody>
              <For each={samples().slice(-10).reverse()}>
                {(s, i) => (
                  <tr>
                    <td class="num">{new Date(s.at).toLocaleTimeString("en-GB")}</td>
                    <td class="right num">
                      {cpu()
                        .at(-1 - i())
                        ?.toFixed(2) ?? "—"}
                    </td>
                    <td class="right num">{bytes(s.memory)}</td>
                  </tr>
                )}
              </For>
            </tbody>
          </table>
        </details>
      </Card>
    </Show>
  );
}

function Meter(props: { name: string; now: string; values: number[]; most: number }) {
  return (
    <figure class="meter">
      <figcaption class="row wide">
        <span class="muted small">{props.name}</span>
        <span class="small num">{props.now}</span>
      </figcaption>
      <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
        <polyline points={points(props.values, props.most, kept)} />
      </svg>
    </figure>
  );
}
