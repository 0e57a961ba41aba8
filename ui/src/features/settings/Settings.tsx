import { For, Show } from "solid-js";
import { signOut } from "../../api/client";
import { gql } from "../../api/gql";
import { connection, live } from "../../api/live";
import type { SettingsQuery } from "../../api/types";
import { base } from "../../app/base";
import { keysOn, setKeysOn } from "../../app/keys";
import { setTheme, type Theme, theme } from "../../app/theme";
import { Button } from "../../components/Button";
import { copy } from "../../components/Cli";
import { Commands } from "../../components/Commands";
import { Icon, type IconName } from "../../components/Icon";
import { Card, Page } from "../../components/Page";
import { Loaded } from "../../components/States";
import { toast } from "../../components/Toasts";
import { Git } from "./Git";

const SettingsDoc = gql<SettingsQuery>(/* GraphQL */ `
  query Settings {
    viewer { id name }
    server { version }
  }
`);

const themes: [Theme, string, IconName][] = [
  ["system", "As the system", "screen"],
  ["light", "Light", "sun"],
  ["dark", "Dark", "moon"],
];

/** What is this browser's own, and how other tools reach this server. */
export default function Settings() {
  const data = live(SettingsDoc, () => ({}));
  const setup = () => `export NIXSPACE_URL=${location.origin}${base}\nexport NIXSPACE_TOKEN=…`;
  return (
    <Page title="Settings">
      <Card title="Looks" end={<span class="faint tiny">kept in this browser</span>}>
        <div class="body">
          <fieldset class="segmented" aria-label="Theme">
            <For each={themes}>
              {([value, name, icon]) => (
                <button type="button" aria-pressed={theme() === value} onClick={() => setTheme(value)}>
                  <Icon name={icon} size={14} /> {name}
                </button>
              )}
            </For>
          </fieldset>
        </div>
      </Card>
      <Card title="Keyboard">
        <div class="body stack tight">
          <label class="row small">
            <input type="checkbox" checked={keysOn()} onChange={(e) => setKeysOn(e.currentTarget.checked)} />
            Single keys do things
          </label>
          <p class="muted small">
            <kbd>?</kbd> lists them. Without them only <kbd>{navigator.platform.startsWith("Mac") ? "⌘" : "Ctrl"}</kbd>{" "}
            <kbd>K</kbd> remains, for those who speak to their computer or whose keys repeat.
          </p>
        </div>
      </Card>
      <Git />
      <Card title="Command line on another machine">
        <div class="body stack tight">
          <p class="muted small">
            On the server's machine the command line finds the server by itself. Elsewhere it needs the address and the
            token, which is in <code>server.json</code> in the server's state directory. Keep it out of arguments: other
            people see them.
          </p>
          <div class="row">
            <pre class="code grow card">{setup()}</pre>
            <Button
              icon="copy"
              aria-label="Copy the set-up"
              onClick={async () => (await copy(setup())) && toast("Copied")}
            />
          </div>
        </div>
      </Card>
      <Card title="Server">
        <Loaded of={data} lines={2}>
          {(d) => (
            <dl class="facts">
              <dt>Version</dt>
              <dd class="num">{d().server.version}</dd>
              <dt>Address</dt>
              <dd>{location.origin + base}</dd>
              <dt>Signed in as</dt>
              <dd>{d().viewer.name}</dd>
              <dt>News</dt>
              <dd>
                <Show when={connection() === "online"} fallback="connecting…">
                  arrive as things happen
                </Show>
              </dd>
            </dl>
          )}
        </Loaded>
        <div class="card-foot">
          <Button icon="out" onClick={() => void signOut()}>
            Sign out of this browser
          </Button>
        </div>
      </Card>
      <Commands
        of={[
          ["Print a link that signs in", ["web"]],
          ["Check the server's machine", ["doctor"]],
          ["Complete in your shell", ["completion", "bash"]],
          ["Print the version", ["version"]],
        ]}
      />
    </Page>
  );
}
