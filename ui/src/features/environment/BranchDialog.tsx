import { useNavigate } from "@solidjs/router";
import { createSignal, For, Show } from "solid-js";
import { type ApiError, asApiError, request } from "../../api/client";
import type { EditInput } from "../../api/types";
import { Button } from "../../components/Button";
import { Cli } from "../../components/Cli";
import { Dialog } from "../../components/Dialog";
import { Problem } from "../../components/States";
import { toast } from "../../components/Toasts";
import { DeleteDoc } from "../merge/queries";
import { flags, suggestName, words } from "./edits";
import { BranchDoc, ChangeDoc } from "./queries";

/** Makes an environment from another one, with the changes that were typed. */
export function BranchDialog(props: {
  project: string;
  from: string;
  /** The reference to branch from: the environment, or one of its versions. */
  fromRef: string;
  edits: EditInput[];
  /** A whole nixspace.toml, in place of edits. */
  manifest?: string;
  onClose: () => void;
}) {
  const navigate = useNavigate();
  const [name, setName] = createSignal(suggestName(props.from, props.edits));
  const [failure, setFailure] = createSignal<ApiError>();
  const [busy, setBusy] = createSignal(false);
  const submit = async (e: SubmitEvent) => {
    e.preventDefault();
    setBusy(true);
    try {
      const { branch } = await request(BranchDoc, {
        input: { from: props.fromRef, name: name().trim(), edits: props.edits },
      });
      const made = branch.environment.ref;
      if (props.manifest !== undefined) {
        try {
          await request(ChangeDoc, { input: { ref: made, edits: [], manifest: props.manifest } });
        } catch (err) {
          // A branch without the change was not asked for.
          await request(DeleteDoc, { ref: made });
          throw err;
        }
      }
      toast(`Branched ${made}`);
      props.onClose();
      navigate(`/e/${made}`);
    } catch (err) {
      setFailure(asApiError(err));
      setBusy(false);
    }
  };
  return (
    <Dialog title={`Branch ${props.from}`} onClose={props.onClose}>
      <form onSubmit={submit}>
        <div class="body">
          <Show when={failure()}>{(e) => <Problem error={e()} />}</Show>
          <label class="field">
            <span>Name</span>
            <input
              class="input"
              autofocus
              required
              spellcheck={false}
              autocomplete="off"
              value={name()}
              onInput={(e) => setName(e.currentTarget.value)}
              onFocus={(e) => e.currentTarget.select()}
            />
            <small>Unique in {props.project}. A branch costs a row in a table; nothing is copied.</small>
          </label>
          <Show
            when={props.edits.length}
            fallback={
              <p class="muted small">
                {props.manifest === undefined
                  ? `It begins with the very content of ${props.from}, and the same hash.`
                  : "It begins with the nixspace.toml that you wrote."}
              </p>
            }
          >
            <div class="field">
              <span>With these changes</span>
              <ul class="row wrap chips">
                <For each={props.edits}>{(e) => <li class="badge accent">{words(e)}</li>}</For>
              </ul>
            </div>
          </Show>
          <Cli args={["branch", props.fromRef, name() || "NAME", ...flags(props.edits)]} />
        </div>
        <footer>
          <Button look="plain" onClick={props.onClose}>
            Cancel
          </Button>
          <Button look="primary" icon="branch" type="submit" disabled={busy() || !name().trim()}>
            {busy() ? "Branching…" : "Branch"}
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}
