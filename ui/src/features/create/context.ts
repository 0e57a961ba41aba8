/** The address of code that a fragment names, as in /#https://host/owner/name; undefined where it names none. */
export function contextSource(hash: string): string | undefined {
  let text = hash.replace(/^#/, "");
  if (/^(https?|ssh|git)%3a/i.test(text)) {
    try {
      text = decodeURIComponent(text);
    } catch {
      return undefined;
    }
  }
  return /^(https?:\/\/|ssh:\/\/|git@[\w.-]+:|github:[\w-]|gitlab:[\w-])\S+$/.test(text) ? text : undefined;
}
