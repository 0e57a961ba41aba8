import { A } from "@solidjs/router";
import { Show } from "solid-js";
import type { SessionFieldsFragment } from "../../api/types";
import { SessionBadge } from "../../components/Status";
import { Time } from "../../components/Time";

export const SessionFields = /* GraphQL */ `
  fragment SessionFields on Session {
    id ref number environmentRef status reason isolation startedAt lastActivity endedAt ephemeral
    machine { phase services { name state } }
  }
`;

/** One session in a list. */
export function SessionRow(props: { session: SessionFieldsFragment }) {
  const s = () => props.session;
  return (
    <A class="item" href={`/s/${s().ref}`}>
      <SessionBadge status={s().status} />
      <span class="grow cut">
        <strong class="ref">{s().ref}</strong>
        <Show when={s().status === "CREATING" && s().machine?.phase}>
          <span class="muted small"> · {s().machine?.phase}</span>
        </Show>
        <Show when={s().reason}>
          <span class="muted small"> · {s().reason}</span>
        </Show>
      </span>
      <span class="faint tiny hide-small">{s().isolation}</span>
      <Show when={s().endedAt ?? s().startedAt}>
        {(t) => (
          <span class="faint tiny">
            <Time at={t()} />
          </span>
        )}
      </Show>
    </A>
  );
}
