/** A file for an archive: its path with forward slashes, and what it holds. */
export interface Entry {
  path: string;
  data: Uint8Array;
  executable?: boolean;
}

const block = 512;
const encoder = new TextEncoder();

/** Writes a plain tar (POSIX ustar, long names as pax records) of files. */
export function tar(entries: readonly Entry[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  for (const e of entries) {
    const name = encoder.encode(e.path);
    if (name.length > 100) {
      const record = pax("path", e.path);
      parts.push(header("pax", record.length, "x", 0o644), padded(record));
    }
    parts.push(header(e.path, e.data.length, "0", e.executable ? 0o755 : 0o644), padded(e.data));
  }
  parts.push(new Uint8Array(2 * block));
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

function header(path: string, size: number, type: string, mode: number): Uint8Array {
  const h = new Uint8Array(block);
  const put = (at: number, text: string, max: number) => h.set(encoder.encode(text).subarray(0, max), at);
  const octal = (at: number, n: number, width: number) => put(at, `${n.toString(8).padStart(width - 1, "0")}\0`, width);
  put(0, path, 100);
  octal(100, mode, 8);
  octal(108, 0, 8); // owner
  octal(116, 0, 8); // group
  octal(124, size, 12);
  octal(136, 0, 12); // the same code is the same archive, whenever it is made
  put(148, "        ", 8);
  put(156, type, 1);
  put(257, "ustar\x0000", 8);
  put(
    148,
    `${h
      .reduce((a, b) => a + b, 0)
      .toString(8)
      .padStart(6, "0")}\0 `,
    8,
  );
  return h;
}

function padded(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.ceil(data.length / block) * block);
  out.set(data);
  return out;
}

/** A pax record tells its own length, the digits of that length included. */
function pax(key: string, value: string): Uint8Array {
  const rest = encoder.encode(` ${key}=${value}\n`).length;
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) length = rest + String(length).length;
  return encoder.encode(`${length} ${key}=${value}\n`);
}

/** Whether a file of a folder belongs to the code, not to what is fetched or made from it. */
export const wanted = (path: string): boolean =>
  !path.split("/").some((p) => p === "node_modules" || p === ".git" || p === ".direnv" || p === "");
