import { createSignal, For, Show } from "solid-js";
import { request } from "../../api/client";
import { gql } from "../../api/gql";
import type { ControlServiceMutation, ControlServiceMutationVariables, ServiceAction } from "../../api/types";
import { Button } from "../../components/Button";
import { bytes } from "../../components/format";
import { Menu } from "../../components/Menu";
import { Card } from "../../components/Page";
import { ServiceBadge } from "../../components/Status";
import { toast, toastError } from "../../components/Toasts";
import type { Update } from "./queries";

const ControlDoc = gql<ControlServiceMutation, ControlServiceMutationVariables>(/* GraphQL */ `
  mutation ControlService($session: String!, $name: String!, $action: ServiceAction!) {
    controlService(session: $session, name: $name, action: $action) { name state }
  }
`);

type Machine = NonNullable<Update["machine"]>;

const did: Record<ServiceAction, string> = { START: "Started", STOP: "Stopped", RESTART: "Restarted" };

/** The services of a machine, each with what can be done to it. */
export function Services(props: {
  session: string;
  sessionRef: string;
  services: Machine["services"];
  running: boolean;
  onLog: (service: string) => void;
}) {
  const [busy, setBusy] = createSignal<string[]>([]);
  const control = async (name: string, action: ServiceAction) => {
    setBusy((b) => [...b, name]);
    try {
      await request(ControlDoc, { session: props.session, name, action });
      toast(`${did[action]} ${name}`, "green");
    } catch (e) {
      toastError(e);
    } finally {
      setBusy((b) => b.filter((n) => n !== name));
    }
  };
  const facts = (v: Machine["services"][number]) =>
    [
      v.ports.length ? `port ${v.ports.join(", ")}` : "",
      v.restarts ? `${v.restarts} restarts` : "",
      v.exitCode ? `exit code ${v.exitCode}` : "",
    ]
      .filter(Boolean)
      .join(" · ");
  return (
    <Card title="Services">
      <Show when={props.services.length} fallback={<p class="body muted small">None runs now.</p>}>
        <ul class="list">
          <For each={props.services}>
            {(v) => {
              const off = () => !props.running || busy().includes(v.name);
              const ended = () => v.state === "stopped" || v.state === "failed" || v.state === "done";
              return (
                <li class="item">
                  <span class="grow">
                    <span class="row wrap">
                      <strong>{v.name}</strong>
                      <ServiceBadge state={v.state} />
                    </span>
                    <Show when={facts(v)}>
                      <span class="faint tiny num block">{facts(v)}</span>
                    </Show>
                    <Show when={v.message}>
                      <span class="faint tiny cut block" title={v.message}>
                        {v.message}
                      </span>
                    </Show>
                  </span>
                  <Show
                    when={!ended()}
                    fallback={
                      <Button
                        small
                        icon="play"
                        disabled={off()}
                        aria-label={`Start ${v.name}`}
                        onClick={() => void control(v.name, "START")}
                      />
                    }
                  >
                    <Button
                      small
                      icon="again"
                      disabled={off()}
                      aria-label={`Restart ${v.name}`}
                      onClick={() => void control(v.name, "RESTART")}
                    />
                    <Button
                      small
                      icon="stop"
                      disabled={off()}
                      aria-label={`Stop ${v.name}`}
                      onClick={() => void control(v.name, "STOP")}
                    />
                  </Show>
                  <Menu
                    small
                    label={`More about ${v.name}`}
                    items={[
                      { icon: "file", text: "Its log", run: () => props.onLog(v.name), disabled: !props.running },
                      {
                        icon: "copy",
                        text: "Copy the command that restarts it",
                        copy: ["services", props.sessionRef, "restart", v.name],
                      },
                      {
                        icon: "copy",
                        text: "Copy the command that shows its log",
                        copy: ["logs", props.sessionRef, v.name],
                      },
                    ]}
                  />
                </li>
              );
            }}
          </For>
        </ul>
      </Show>
    </Card>
  );
}

/** What the machine has reached outside of itself, and tried to. */
export function Egress(props: { egress: NonNullable<Machine["egress"]> }) {
  return (
    <Card
      title="Network"
      end={
        <span class="faint tiny num">
          {bytes(props.egress.sent)} out, {bytes(props.egress.received)} in
        </span>
      }
    >
      <Show
        when={props.egress.hosts.length}
        fallback={<p class="body muted small">It has reached nothing yet ({props.egress.policy}).</p>}
      >
        <ul class="list">
          <For each={props.egress.hosts.slice(0, 8)}>
            {(h) => (
              <li class="item" title={h.lastError}>
                <i class={`dot ${h.connections ? "green" : "red"}`} />
                <span class="grow">
                  <span class="cut small block">{h.host}</span>
                  <Show when={h.lastError}>
                    <span class="faint tiny cut block">{h.lastError}</span>
                  </Show>
                </span>
                <span class="faint tiny num">
                  {h.connections ? `${h.connections} made` : ""}
                  {h.refused ? ` ${h.refused} refused` : ""}
                  {h.failed ? ` ${h.failed} failed` : ""}
                </span>
              </li>
            )}
          </For>
        </ul>
      </Show>
    </Card>
  );
}
