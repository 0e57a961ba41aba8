import { createSignal } from "solid-js";
import { ago } from "./format";

const [now, setNow] = createSignal(Date.now());
setInterval(() => document.visibilityState === "visible" && setNow(Date.now()), 10_000);

/** A time as people say it; the whole of it on hover. */
export function Time(props: { at: string }) {
  return (
    <time datetime={props.at} title={new Date(props.at).toLocaleString("en-GB")} class="num">
      {ago(props.at, Math.max(now(), Date.now()))}
    </time>
  );
}
