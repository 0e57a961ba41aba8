import { useNavigate } from "@solidjs/router";
import { createSignal, Show } from "solid-js";
import { ApiError, request } from "../../api/client";
import { Button } from "../../components/Button";
import { Cli } from "../../components/Cli";
import { Dialog } from "../../components/Dialog";
import { count } from "../../components/format";
import { Problem } from "../../components/States";
import { toast } from "../../components/Toasts";
import { ForkDoc } from "./queries";

const most = 16; // copies at once, from a page

/** Copies a session, once or several times. */
export function ForkDialog(props: { sessionRef: string; onClose: () => void }) {
  const navigate = useNavigate();
  const [copies, setCopies] = createSignal(1);
  const [throwaway, setThrowaway] = createSignal(false);
  const [busy, setBusy] = createSignal(false);
  const [failure, setFailure] = createSignal<ApiError>();
  const cli = () => [
    "fork",
    props.sessionRef,
    ...(copies() > 1 ? ["--count", String(copies())] : []),
    ...(throwaway() ? ["--throwaway"] : []),
  ];
  const submit = async (e: SubmitEvent) => {
    e.preventDefault();
    setBusy(true);
    try {
      const { fork } = await request(ForkDoc, {
        input: { session: props.sessionRef, count: copies(), throwaway: throwaway() },
      });
      const refs = fork.sessions.map((s) => s.ref);
      toast(`Forked into ${refs.join(", ")}`, "green", "With memory, disk and database, from the same moment.");
      props.onClose();
      if (refs.length === 1) navigate(`/s/${refs[0]}`);
    } catch (err) {
      setFailure(err instanceof ApiError ? err : new ApiError(String(err), "unknown", "internal"));
      setBusy(false);
    }
  };
  return (
    <Dialog title={`Fork ${props.sessionRef}`} onClose={props.onClose}>
      <form onSubmit={submit}>
        <div class="body">
          <Show when={failure()}>{(e) => <Problem error={e()} />}</Show>
          <p class="muted small">
            A copy has the memory, the disk and the database of this very moment, and goes its own way from there. The
            session itself stands still for some milliseconds and keeps its connections.
          </p>
          <label class="field">
            <span>How many</span>
            <input
              class="input"
              type="number"
              min="1"
              max={most}
              required
              autofocus
              value={copies()}
              onInput={(e) => setCopies(Math.min(most, Math.max(1, Math.trunc(e.currentTarget.valueAsNumber) || 1)))}
            />
          </label>
          <label class="row small">
            <input type="checkbox" checked={throwaway()} onChange={(e) => setThrowaway(e.currentTarget.checked)} />
            Throw away: shares memory with its origin, and is gone once it stops
          </label>
          <Cli args={cli()} />
        </div>
        <footer>
          <Button look="plain" onClick={props.onClose}>
            Cancel
          </Button>
          <Button look="primary" icon="fork" type="submit" disabled={busy()}>
            {busy() ? "Forking…" : copies() > 1 ? `Make ${count(copies(), "copy", "copies")}` : "Make a copy"}
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}
