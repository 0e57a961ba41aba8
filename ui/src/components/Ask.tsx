import { createSignal, Show } from "solid-js";
import { Button } from "./Button";
import { Cli } from "./Cli";
import { Dialog } from "./Dialog";

interface Question {
  title: string;
  /** What happens, and how to come back from it. */
  text: string;
  /** The word on the button that does it. */
  verb: string;
  /** The command line that does the same. */
  cli?: string[];
}

const [question, setQuestion] = createSignal<Question & { answer: (yes: boolean) => void }>();

/** Asks before something that is hard to undo, and resolves to whether it is wanted. */
export function ask(q: Question): Promise<boolean> {
  question()?.answer(false);
  return new Promise((resolve) => setQuestion({ ...q, answer: resolve }));
}

/** Where questions are asked: once, around all pages. */
export function Questions() {
  const end = (yes: boolean) => {
    question()?.answer(yes);
    setQuestion(undefined);
  };
  return (
    <Show when={question()} keyed>
      {(q) => (
        <Dialog title={q.title} onClose={() => end(false)}>
          <div class="body">
            <p class="muted small">{q.text}</p>
            <Show when={q.cli}>{(args) => <Cli args={args()} />}</Show>
          </div>
          <footer>
            <Button look="plain" onClick={() => end(false)}>
              Cancel
            </Button>
            <Button look="danger" onClick={() => end(true)} ref={(el) => queueMicrotask(() => el.focus())}>
              {q.verb}
            </Button>
          </footer>
        </Dialog>
      )}
    </Show>
  );
}
