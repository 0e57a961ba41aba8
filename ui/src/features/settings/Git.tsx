import { createSignal, For, Show } from "solid-js";
import { request } from "../../api/client";
import { gql } from "../../api/gql";
import { live } from "../../api/live";
import type {
  GitSettingsQuery,
  RemoveGitCredentialMutation,
  RemoveGitCredentialMutationVariables,
  SetGitCredentialMutation,
  SetGitCredentialMutationVariables,
  SetGitIdentityMutation,
  SetGitIdentityMutationVariables,
} from "../../api/types";
import { Button } from "../../components/Button";
import { Card } from "../../components/Page";
import { Loaded } from "../../components/States";
import { Time } from "../../components/Time";
import { toast, toastError } from "../../components/Toasts";

const GitDoc = gql<GitSettingsQuery>(/* GraphQL */ `
  query GitSettings {
    gitSettings { name email credentials { host user createdAt lastUsedAt } }
  }
`);

const IdentityDoc = gql<SetGitIdentityMutation, SetGitIdentityMutationVariables>(/* GraphQL */ `
  mutation SetGitIdentity($name: String!, $email: String!) {
    setGitIdentity(name: $name, email: $email) { name email }
  }
`);

const CredentialDoc = gql<SetGitCredentialMutation, SetGitCredentialMutationVariables>(/* GraphQL */ `
  mutation SetGitCredential($input: SetGitCredentialInput!) {
    setGitCredential(input: $input) { credentials { host } }
  }
`);

const RemoveDoc = gql<RemoveGitCredentialMutation, RemoveGitCredentialMutationVariables>(/* GraphQL */ `
  mutation RemoveGitCredential($host: String!) {
    removeGitCredential(host: $host) { credentials { host } }
  }
`);

/** Who commits in sessions are by, and which hosts' repositories open there. */
export function Git() {
  const data = live(GitDoc, () => ({}));
  const [busy, setBusy] = createSignal(false);
  const act = async (done: string, f: () => Promise<unknown>) => {
    setBusy(true);
    try {
      await f();
      toast(done, "green");
      await data.refetch();
      return true;
    } catch (e) {
      toastError(e);
      return false;
    } finally {
      setBusy(false);
    }
  };
  const saveIdentity = (e: SubmitEvent) => {
    e.preventDefault();
    const f = new FormData(e.currentTarget as HTMLFormElement);
    const v = { name: String(f.get("name")), email: String(f.get("email")) };
    void act("Commits in sessions are by you", () => request(IdentityDoc, v));
  };
  const saveToken = async (e: SubmitEvent) => {
    e.preventDefault();
    const form = e.currentTarget as HTMLFormElement;
    const f = new FormData(form);
    const input = { host: String(f.get("host")), user: String(f.get("user")), token: String(f.get("token")) };
    if (await act(`Repositories of ${input.host} open in your sessions`, () => request(CredentialDoc, { input })))
      form.reset();
  };
  const remove = (host: string) => {
    if (!confirm(`Forget the token of ${host}?`)) return;
    void act(`Forgot the token of ${host}`, () => request(RemoveDoc, { host }));
  };
  return (
    <Card title="git in sessions">
      <Loaded of={data} lines={3}>
        {(d) => (
          <>
            <form class="body stack tight" onSubmit={saveIdentity}>
              <div class="row">
                <label class="field grow">
                  <span>Name of the author</span>
                  <input
                    class="input"
                    name="name"
                    required
                    maxLength={200}
                    autocomplete="name"
                    value={d().gitSettings.name}
                  />
                </label>
                <label class="field grow">
                  <span>Address</span>
                  <input
                    class="input"
                    name="email"
                    type="email"
                    required
                    autocomplete="email"
                    value={d().gitSettings.email}
                  />
                </label>
              </div>
              <div>
                <Button type="submit" disabled={busy()}>
                  Save
                </Button>
              </div>
            </form>
            <Show when={d().gitSettings.credentials.length}>
              <ul class="list">
                <For each={d().gitSettings.credentials}>
                  {(c) => (
                    <li class="item">
                      <span class="grow">
                        <strong>{c.host}</strong>
                        <span class="faint tiny cut block">
                          {c.user} ·{" "}
                          <Show when={c.lastUsedAt} fallback="never lent yet">
                            {(at) => (
                              <>
                                lent <Time at={at()} />
                              </>
                            )}
                          </Show>
                        </span>
                      </span>
                      <Button
                        small
                        look="plain"
                        icon="trash"
                        aria-label={`Forget the token of ${c.host}`}
                        disabled={busy()}
                        onClick={() => remove(c.host)}
                      />
                    </li>
                  )}
                </For>
              </ul>
            </Show>
            <form class="body stack tight" onSubmit={saveToken}>
              <p class="muted small">
                A token is lent to git in the sessions in which you work, while you do, and is never written there.
              </p>
              <div class="row">
                <label class="field grow">
                  <span>Host</span>
                  <input
                    class="input"
                    name="host"
                    required
                    placeholder="github.com"
                    autocomplete="off"
                    spellcheck={false}
                  />
                </label>
                <label class="field grow">
                  <span>User name, if it wants one</span>
                  <input class="input" name="user" autocomplete="off" spellcheck={false} />
                </label>
                <label class="field grow">
                  <span>Token</span>
                  <input class="input" name="token" type="password" required autocomplete="off" />
                </label>
              </div>
              <div>
                <Button type="submit" disabled={busy()}>
                  Keep
                </Button>
              </div>
            </form>
          </>
        )}
      </Loaded>
    </Card>
  );
}
