import "./style.css";
import { Remote, type Wire } from "./remote";

// The connection is made while the workbench still loads.
const address = new URL("/api/socket", location.href);
address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
const remote = new Remote(() => new WebSocket(address, "nixspace.code.v1") as unknown as Wire);

const waiting = document.getElementById("waiting");
try {
  const [{ start }, hello] = await Promise.all([import("./workbench"), remote.hello]);
  await start(remote, hello);
  waiting?.remove();
} catch (e) {
  if (waiting) waiting.textContent = `The editor cannot be opened: ${e instanceof Error ? e.message : String(e)}`;
  throw e;
}
