import type { BuildStatus, ExperimentKind } from "../../api/types";

const words: Record<ExperimentKind, string> = {
  RUN: "Run",
  COMPARE: "Comparison",
  BISECT: "Bisection",
  CHECK: "Check",
  UPGRADES: "Upgrades",
};

/** What people call a kind of experiment. */
export const kindWord = (k: ExperimentKind): string => words[k];

const looks: Record<BuildStatus, { tone: string; text: string }> = {
  QUEUED: { tone: "amber", text: "Queued" },
  RUNNING: { tone: "amber", text: "Running" },
  SUCCEEDED: { tone: "green", text: "Complete" },
  FAILED: { tone: "red", text: "Failed" },
  CANCELED: { tone: "grey", text: "Interrupted" },
};

/** Where an experiment stands. */
export function StatusBadge(props: { status: BuildStatus }) {
  return (
    <span class={`badge ${looks[props.status].tone}`}>
      <i class={`dot ${looks[props.status].tone}`} classList={{ beat: props.status === "RUNNING" }} />
      {looks[props.status].text}
    </span>
  );
}
