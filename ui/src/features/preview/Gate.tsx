import { useSearchParams } from "@solidjs/router";
import { createSignal, onMount, Show } from "solid-js";
import { ApiError } from "../../api/client";
import { Page } from "../../components/Page";
import { Bones, Problem } from "../../components/States";
import { letIn } from "./open";

/** Leads on to a preview whose host does not know this browser. */
export default function Gate() {
  const [query] = useSearchParams<{ host?: string; to?: string }>();
  const [failure, setFailure] = createSignal<ApiError>();
  const go = () =>
    letIn(query.host ?? "", query.to || "/").then(
      (address) => location.replace(address),
      (e) => setFailure(e instanceof ApiError ? e : new ApiError(String(e), "unknown", "internal")),
    );
  onMount(go);
  return (
    <Page title="Preview" sub={<span>{query.host}</span>}>
      <Show
        when={failure()}
        fallback={
          <div class="card">
            <Bones lines={2} />
          </div>
        }
      >
        {(e) => <Problem error={e()} retry={go} />}
      </Show>
    </Page>
  );
}
