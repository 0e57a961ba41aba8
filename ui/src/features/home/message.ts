export interface Part {
  text: string;
  href?: string;
}

const ref = /(?<![\w./-])([a-z0-9][a-z0-9-]*)\/([a-z0-9][a-z0-9._-]*?)(?:\/(\d+))?(?=[\s:,;)]|\.?$)/g;

/** Cuts a message at the names in it that lead to a page: project/environment, and sessions. */
export function parts(message: string): Part[] {
  const out: Part[] = [];
  let from = 0;
  for (const m of message.matchAll(ref)) {
    if (m.index > from) out.push({ text: message.slice(from, m.index) });
    out.push({ text: m[0], href: m[3] ? `/s/${m[1]}/${m[2]}/${m[3]}` : `/e/${m[1]}/${m[2]}` });
    from = m.index + m[0].length;
  }
  if (from < message.length) out.push({ text: message.slice(from) });
  return out;
}
