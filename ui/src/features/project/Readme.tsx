import { Show } from "solid-js";
import { markdown } from "../../components/markdown";
import { Card } from "../../components/Page";

/** What a project's code says about itself. It is a stranger's text. */
export default function Readme(props: { path: string; text: string }) {
  return (
    <Card title={props.path}>
      <Show when={/\.(md|markdown)$/i.test(props.path)} fallback={<pre class="code">{props.text}</pre>}>
        {/* It comes out of markdown(), which lets no markup of the text through. */}
        <div class="body prose" innerHTML={markdown(props.text)} />
      </Show>
    </Card>
  );
}
