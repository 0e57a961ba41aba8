import { For } from "solid-js";
import { Cli } from "./Cli";
import { Icon } from "./Icon";

/** What can be done on a page, as the command line does it: each a line to copy. */
export function Commands(props: { of: [does: string, args: string[]][] }) {
  return (
    <details class="commands">
      <summary>
        <Icon name="terminal" size={14} /> On the command line
      </summary>
      <dl>
        <For each={props.of}>
          {([does, args]) => (
            <div>
              <dt>{does}</dt>
              <dd>
                <Cli args={args} />
              </dd>
            </div>
          )}
        </For>
      </dl>
    </details>
  );
}
