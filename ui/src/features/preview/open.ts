import { post } from "../../api/client";
import { toastError } from "../../components/Toasts";

interface Link {
  url: string;
  open: string;
}

/** Opens a port of a session in a tab of its own. To be called for a click. */
export async function openPreview(session: string, port: number): Promise<void> {
  await openTab(`/api/v1/sessions/${encodeURIComponent(session)}/previews`, { port, path: "/" });
}

async function openTab(path: string, body: object): Promise<void> {
  // Now, and not once the address is known: a browser lets a page open tabs only for clicks.
  const tab = open("about:blank", "_blank");
  if (tab) tab.opener = null;
  try {
    const link = await post<Link>(path, body);
    if (tab) tab.location.replace(link.open);
    else location.assign(link.open);
  } catch (e) {
    tab?.close();
    toastError(e);
  }
}

/** Opens the editor of a session, at a file, in a tab of its own. To be called for a click. */
export async function openCode(session: string, file = ""): Promise<void> {
  const path = file ? `/?file=${encodeURIComponent(file)}` : "/";
  await openTab(`/api/v1/sessions/${encodeURIComponent(session)}/code`, { path });
}

/** The address that lets this browser in to a preview's host, at a path there. */
export async function letIn(host: string, to: string): Promise<string> {
  return (await post<Link>("/api/v1/previews", { host, path: to })).open;
}
