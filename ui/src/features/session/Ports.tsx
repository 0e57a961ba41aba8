import { For, Show } from "solid-js";
import { Button } from "../../components/Button";
import { copyCommand } from "../../components/Cli";
import { Card } from "../../components/Page";
import { openPreview } from "../preview/open";
import { mayServePages } from "./speaks";

/** The ports on which programs listen, each with a way to look at what it serves. */
export function Ports(props: {
  session: string;
  sessionRef: string;
  services: readonly { name: string; ports: readonly number[] }[];
  ports: { port: number; process: string }[];
  /** Ports that the environment names. */
  known: Record<string, number>;
  running: boolean;
}) {
  const nameOf = (port: number) => Object.entries(props.known).find(([, p]) => p === port)?.[0];
  /** A port that serves no pages is of use on one's own machine. */
  const forward = (port: number) => ["forward", props.sessionRef, String(port)];
  const rows = () => {
    const open = props.ports.map((p) => ({ ...p, name: nameOf(p.port), listens: true }));
    const rest = Object.entries(props.known)
      .filter(([, port]) => !props.ports.some((p) => p.port === port))
      .map(([name, port]) => ({ port, process: "", name, listens: false }));
    return [...open, ...rest].sort((a, b) => a.port - b.port);
  };
  return (
    <Card title="Ports">
      <Show
        when={rows().length}
        fallback={<p class="body muted small">A program that listens on a port appears here.</p>}
      >
        <ul class="list">
          <For each={rows()}>
            {(p) => (
              <li class="item">
                <i class={`dot ${p.listens ? "green" : ""}`} />
                <span class="grow">
                  <strong class="num">{p.port}</strong>
                  <span class="faint tiny cut block">
                    {[p.name, p.process || (p.listens ? "" : "nothing listens yet")].filter(Boolean).join(" · ")}
                  </span>
                </span>
                <Show
                  when={mayServePages(p, props.services)}
                  fallback={
                    <Button
                      small
                      icon="copy"
                      title={forward(p.port).join(" ")}
                      aria-label={`Forward port ${p.port}: copy the command`}
                      onClick={() => void copyCommand(forward(p.port))}
                    >
                      Forward
                    </Button>
                  }
                >
                  <Button
                    small
                    icon="globe"
                    disabled={!props.running}
                    aria-label={`Open a preview of port ${p.port}`}
                    onClick={() => void openPreview(props.session, p.port)}
                  >
                    Open
                  </Button>
                </Show>
              </li>
            )}
          </For>
        </ul>
      </Show>
    </Card>
  );
}
