import { createSignal } from "solid-js";
import { Button } from "./Button";
import { quote } from "./format";

/** Puts text on the clipboard; where there is none to be had, it says so by false. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** The command line of what this place does, to copy. */
export function Cli(props: { args: string[] }) {
  const line = () => ["nixspace", ...props.args.map(quote)].join(" ");
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
