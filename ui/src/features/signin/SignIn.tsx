import { useLocation, useNavigate } from "@solidjs/router";
import { createSignal, onMount, Show } from "solid-js";
import { ApiError, signIn } from "../../api/client";
import { base, inside } from "../../app/base";
import { Cli } from "../../components/Cli";
import { Problem } from "../../components/States";
import { Account } from "./Account";

/**
 * Signs in by the code in the link that the server prints, by name and password, or by an invitation. Without any of
 * them it says where the link is.
 */
export function SignIn(props: { onDone: () => Promise<unknown> }) {
  const location = useLocation();
  const navigate = useNavigate();
  const [failure, setFailure] = createSignal<ApiError>();
  const code = inside(location.pathname) === "/sign-in" ? location.hash.replace(/^#/, "") : "";
  const invitation = inside(location.pathname) === "/join" ? location.hash.replace(/^#/, "") : "";
  const entered = async () => {
    navigate("/", { replace: true }); // the invitation leaves the address
    await props.onDone();
  };
  const [busy, setBusy] = createSignal(code !== "");
  onMount(async () => {
    document.title = "Sign in · NixSpace";
    if (!code) return;
    try {
      await signIn(code);
      navigate("/", { replace: true }); // the code leaves the address
      await props.onDone();
    } catch (e) {
      setFailure(e instanceof ApiError ? e : new ApiError(String(e), "unknown", "internal"));
      setBusy(false);
    }
  });
  return (
    <main class="signin">
      <div class="stack">
        <img src={`${base}/favicon.svg`} alt="" width="44" height="44" />
        <h1>NixSpace</h1>
        <Show when={!busy()} fallback={<p class="muted">Signing in…</p>}>
          <Show when={failure()}>{(e) => <Problem error={e()} />}</Show>
          <Account invitation={invitation} onDone={entered} />
          <Show when={!invitation}>
            <p class="muted">
              The server printed a link that signs in whoever started it; on that machine this prints it again:
            </p>
            <Cli args={["web"]} />
          </Show>
        </Show>
      </div>
    </main>
  );
}
