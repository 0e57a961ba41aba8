import { base } from "../../app/base";
import type { Wire } from "./link";

/** Opens the socket to a session's terminals. It does not wake the session. */
export function connectTo(session: string): Wire {
  const url = new URL(`${base}/api/v1/sessions/${encodeURIComponent(session)}/shell?wake=0`, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return new WebSocket(url, "nixspace.exec.v1") as unknown as Wire;
}
