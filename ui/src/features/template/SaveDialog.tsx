import { useNavigate } from "@solidjs/router";
import { createSignal, Show } from "solid-js";
import { ApiError, request } from "../../api/client";
import { Button } from "../../components/Button";
import { Cli } from "../../components/Cli";
import { Dialog } from "../../components/Dialog";
import { Problem } from "../../components/States";
import { toast } from "../../components/Toasts";
import { SaveTemplateDoc } from "./queries";

/** Makes a template of an environment. */
export function SaveTemplateDialog(props: { environment: string; name: string; onClose: () => void }) {
  const navigate = useNavigate();
  const [name, setName] = createSignal(props.name);
  const [description, setDescription] = createSignal("");
  const [failure, setFailure] = createSignal<ApiError>();
  const [busy, setBusy] = createSignal(false);
  const submit = async (e: SubmitEvent) => {
    e.preventDefault();
    setBusy(true);
    try {
      const input = { ref: props.environment, name: name().trim(), description: description().trim() };
      const { saveTemplate: t } = await request(SaveTemplateDoc, { input });
      toast(`Saved template ${t.name}`, "green", "New projects can begin with it.");
      props.onClose();
      navigate("/templates");
    } catch (err) {
      setFailure(err instanceof ApiError ? err : new ApiError(String(err), "unknown", "internal"));
      setBusy(false);
    }
  };
  return (
    <Dialog title={`Make a template of ${props.environment}`} onClose={props.onClose}>
      <form onSubmit={submit}>
        <div class="body">
          <Show when={failure()}>{(e) => <Problem error={e()} />}</Show>
          <p class="muted small">
            A template is the project's code as it was brought, with this environment's manifest. What sessions hold is
            not in it.
          </p>
          <label class="field">
            <span>Name</span>
            <input
              class="input"
              required
              autofocus
              spellcheck={false}
              autocomplete="off"
              value={name()}
              onInput={(e) => setName(e.currentTarget.value)}
              onFocus={(e) => e.currentTarget.select()}
            />
            <small>Lower-case letters, digits and hyphens.</small>
          </label>
          <label class="field">
            <span>What it is, in one line</span>
            <input
              class="input"
              autocomplete="off"
              value={description()}
              onInput={(e) => setDescription(e.currentTarget.value)}
            />
          </label>
          <Cli
            args={[
              "templates",
              "save",
              name().trim() || "NAME",
              props.environment,
              ...(description().trim() ? ["-m", description().trim()] : []),
            ]}
          />
        </div>
        <footer>
          <Button look="plain" onClick={props.onClose}>
            Cancel
          </Button>
          <Button look="primary" icon="template" type="submit" disabled={busy() || !name().trim()}>
            {busy() ? "Saving…" : "Save"}
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}
