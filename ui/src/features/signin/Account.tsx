import { createSignal, Show } from "solid-js";
import { ApiError, enter } from "../../api/client";
import { Problem } from "../../components/States";

/** Signs in by name and password; with an invitation it makes the account first. */
export function Account(props: { invitation: string; onDone: () => unknown }) {
  const [name, setName] = createSignal("");
  const [password, setPassword] = createSignal("");
  const [totp, setTotp] = createSignal("");
  const [asked, setAsked] = createSignal(false);
  const [busy, setBusy] = createSignal(false);
  const [failure, setFailure] = createSignal<ApiError>();
  const submit = async (e: Event) => {
    e.preventDefault();
    setBusy(true);
    setFailure(undefined);
    try {
      await enter({ code: props.invitation, name: name().trim(), password: password(), totp: totp().trim() });
      setPassword("");
      await props.onDone();
    } catch (e) {
      const problem = e instanceof ApiError ? e : new ApiError(String(e), "unknown", "internal");
      if (problem.code === "code_required") setAsked(true);
      else setFailure(problem);
    }
    setBusy(false);
  };
  return (
    <form class="stack" onSubmit={submit}>
      <Show when={props.invitation}>
        <p class="muted">You are invited. Choose a name and a password of ten characters or more.</p>
      </Show>
      <label class="field">
        <span>Name</span>
        <input
          class="input"
          name="name"
          autocomplete="username"
          autocapitalize="none"
          spellcheck={false}
          required
          value={name()}
          onInput={(e) => setName(e.currentTarget.value)}
        />
      </label>
      <label class="field">
        <span>Password</span>
        <input
          class="input"
          name="password"
          type="password"
          autocomplete={props.invitation ? "new-password" : "current-password"}
          required
          value={password()}
          onInput={(e) => setPassword(e.currentTarget.value)}
        />
      </label>
      <Show when={asked()}>
        <label class="field">
          <span>One-time password</span>
          <input
            class="input"
            name="totp"
            inputmode="numeric"
            autocomplete="one-time-code"
            required
            ref={(el) => queueMicrotask(() => el.focus())}
            value={totp()}
            onInput={(e) => setTotp(e.currentTarget.value)}
          />
        </label>
      </Show>
      <Show when={failure()}>{(e) => <Problem error={e()} />}</Show>
      <button type="submit" class="btn primary" disabled={busy()}>
        {props.invitation ? "Join" : "Sign in"}
      </button>
    </form>
  );
}
