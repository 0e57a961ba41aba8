import { createSignal } from "solid-js";
import { Button } from "./Button";
import { quote } from "./format";
import { toast } from "./Toasts";

/** Puts text on the clipboard; where there is none to be had, it says so by false. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** The command line, as a person types it. */
export const commandLine = (args: readonly string[]): string => ["nixspace", ...args.map(quote)].join(" ");

/** Puts a command line on the clipboard, and says which. */
export async function copyCommand(args: readonly string[]): Promise<void> {
  const line = commandLine(args);
  if (await copy(line)) toast("Copied", "green", line);
  else toast(line, "blue", "This browser gives pages no clipboard; here is the line to copy by hand.");
}

/** The command line of what this place does, to copy. */
export function Cli(props: { args: string[] }) {
  const line = () => commandLine(props.args);
  const [done, setDone] = createSignal(false);
  const take = async () => {
    if (!(await copy(line()))) return;
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <div class="cli">
      <code tabindex="0">{line()}</code>
      <Button
        small
        look="plain"
        icon={done() ? "check" : "copy"}
        aria-label={done() ? "Copied" : "Copy the command"}
        onClick={take}
      />
    </div>
  );
}
