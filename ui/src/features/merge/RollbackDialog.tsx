import { createSignal, Show } from "solid-js";
import { request } from "../../api/client";
import { live } from "../../api/live";
import { Button } from "../../components/Button";
import { ChangeList } from "../../components/ChangeList";
import { Cli } from "../../components/Cli";
import { Dialog } from "../../components/Dialog";
import { Loaded } from "../../components/States";
import { toast, toastError } from "../../components/Toasts";
import { RollbackDoc, RollbackPreviewDoc } from "./queries";

/** Goes back to an earlier version, after showing what that will change. */
export function RollbackDialog(props: { environment: string; head: string; to: string; onClose: () => void }) {
  const preview = live(RollbackPreviewDoc, () => ({ from: props.environment, to: props.to }));
  const [busy, setBusy] = createSignal(false);
  const go = async () => {
    setBusy(true);
    try {
      await request(RollbackDoc, { input: { ref: props.environment, to: props.to, expectedHead: props.head } });
      toast(`Rolled ${props.environment} back`, "green", "What was rolled back stays in the history.");
      props.onClose();
    } catch (e) {
      toastError(e);
      setBusy(false);
    }
  };
  return (
    <Dialog title={`Roll ${props.environment} back to ${props.to}`} onClose={props.onClose}>
      <div class="body">
        <p class="muted small">A new version is made, with the content of the earlier one. This is what changes:</p>
        <Loaded of={preview} lines={2}>
          {(d) => (
            <Show
              when={d().diff.changes.length}
              fallback={<p class="small">Nothing: the environment has that content already.</p>}
            >
              <ChangeList changes={d().diff.changes} />
            </Show>
          )}
        </Loaded>
        <Cli args={["rollback", props.environment, props.to]} />
      </div>
      <footer>
        <Button look="plain" onClick={props.onClose}>
          Cancel
        </Button>
        <Button look="primary" icon="undo" disabled={busy() || !preview.data()} onClick={go}>
          {busy() ? "Rolling back…" : "Roll back"}
        </Button>
      </footer>
    </Dialog>
  );
}
