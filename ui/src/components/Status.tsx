import type { BuildStatus, SessionStatus } from "../api/types";

type Tone = "green" | "amber" | "red" | "blue" | "grey";

const sessions: Record<SessionStatus, Look> = {
  CREATING: { tone: "amber", text: "Starting", busy: true },
  RUNNING: { tone: "green", text: "Running" },
  HIBERNATED: { tone: "blue", text: "Hibernated" },
  STOPPING: { tone: "amber", text: "Stopping", busy: true },
  STOPPED: { tone: "grey", text: "Stopped" },
  FAILED: { tone: "red", text: "Failed" },
};

const builds: Record<BuildStatus, Look> = {
  QUEUED: { tone: "amber", text: "Queued", busy: true },
  RUNNING: { tone: "amber", text: "Building", busy: true },
  SUCCEEDED: { tone: "green", text: "Built" },
  FAILED: { tone: "red", text: "Failed" },
  CANCELED: { tone: "grey", text: "Cancelled" },
};

interface Look {
  tone: Tone;
  text: string;
  busy?: boolean;
}

function Badge(props: Look) {
  return (
    <span class={`badge ${props.tone}`}>
      <i class={`dot ${props.tone}`} classList={{ beat: props.busy ?? false }} />
      {props.text}
    </span>
  );
}

/** Where a session stands, in a colour and a word. */
export const SessionBadge = (props: { status: SessionStatus }) => <Badge {...sessions[props.status]} />;

/** Where a build stands. */
export const BuildBadge = (props: { status: BuildStatus }) => <Badge {...builds[props.status]} />;

/** Where a service of a machine stands. */
export function ServiceBadge(props: { state: string }) {
  const tone = (): Tone =>
    (({ ready: "green", done: "blue", starting: "amber", failed: "red" })[props.state] as Tone | undefined) ?? "grey";
  return <Badge tone={tone()} text={props.state} busy={props.state === "starting"} />;
}

export const sessionTone = (s: SessionStatus): Tone => sessions[s].tone;
export const sessionWord = (s: SessionStatus): string => sessions[s].text;
