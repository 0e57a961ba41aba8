/** A package that the source offers. */
export interface Offered {
  family: string;
  version: string;
  description: string;
  default: boolean;
}

export interface Option {
  /** What is put in place of the text from `from` to the caret. */
  insert: string;
  detail: string;
}

export interface Completion {
  from: number;
  options: Option[];
}

const tables = ["packages", "services.postgresql", "services.redis", "env", "scripts", "ports", "resources", "network"];

const keys: Record<string, Record<string, string>> = {
  "": { schema: "always 1", source: "where packages come from" },
  resources: { cpus: "a number", memory: '"512MiB"', disk: '"4GiB"' },
  network: { egress: '"none", "full", or a list of hosts' },
  "services.postgresql": { port: "a number", databases: '["shop"]', settings: "of postgresql.conf" },
  "services.redis": { port: "a number", settings: "of redis.conf" },
};
const service = {
  command: "what is run",
  directory: "where it is run",
  port: "a number",
  ports: "[3000, 9229]",
  "depends-on": '["postgresql"]',
  ready: "a command that ends well once it is",
  "ready-http": '"/health"',
  "ready-port": "a number",
  restart: '"always", "on-failure" or "never"',
};

const most = 12; // options at once

/** The table that a line belongs to: "packages", "services.web", or "" before any. */
export function tableAt(text: string, line: number): string {
  let table = "";
  for (const l of text.split("\n").slice(0, line)) {
    const header = /^\s*\[\s*([\w.-]+)\s*\]/.exec(l);
    if (header) table = header[1]!;
  }
  return table;
}

/** The versions that can be written for a package: any, each beginning that several share, and each whole one. */
export function versions(offers: readonly Offered[], family: string): Option[] {
  const whole = offers.filter((o) => o.family === family);
  const out = new Map<string, Option>();
  for (const o of whole) {
    const major = /^\d+/.exec(o.version)?.[0];
    if (major && major !== o.version && !out.has(major))
      out.set(major, { insert: major, detail: `the newest ${major}.x, now ${o.version}` });
  }
  for (const o of whole) out.set(o.version, { insert: o.version, detail: o.default ? "the default" : "exactly" });
  if (whole.length) out.set("*", { insert: "*", detail: "the default, whichever that is" });
  return [...out.values()];
}

/** What can be written at the caret of a nixspace.toml; undefined where nothing is known to fit. */
export function complete(text: string, caret: number, offers: readonly Offered[]): Completion | undefined {
  const before = text.slice(0, caret);
  const start = before.lastIndexOf("\n") + 1;
  const line = before.slice(start);
  const rest = text.slice(caret).split("\n", 1)[0]!;
  const pick = (options: Option[], typed: string): Completion | undefined => {
    const t = typed.toLowerCase();
    const fit = options.filter((o) => o.insert.toLowerCase().includes(t) && o.insert !== typed);
    fit.sort((a, b) => Number(b.insert.toLowerCase().startsWith(t)) - Number(a.insert.toLowerCase().startsWith(t)));
    return fit.length ? { from: caret - typed.length, options: fit.slice(0, most) } : undefined;
  };
  const header = /^\s*\[([\w.-]*)$/.exec(line);
  if (header) {
    const close = rest.startsWith("]") ? "" : "]";
    const there = new Set(text.split("\n").map((l) => /^\s*\[([\w.-]+)\]/.exec(l)?.[1]));
    return pick(
      tables.filter((t) => !there.has(t)).map((t) => ({ insert: `${t}${close}`, detail: "a table" })),
      header[1]!,
    );
  }
  const table = tableAt(text, before.split("\n").length - 1);
  if (table === "packages") {
    const value = /^\s*"?([\w.+-]+)"?\s*=\s*"([^"]*)$/.exec(line);
    if (value) return pick(versions(offers, value[1]!), value[2]!);
    const key = /^\s*([\w.+-]*)$/.exec(line);
    if (!key || rest.trim()) return undefined;
    const families = new Map<string, string>();
    for (const o of offers) if (o.default || !families.has(o.family)) families.set(o.family, o.description);
    const there = new Set(entries(text, "packages"));
    const options = [...families]
      .filter(([f]) => !there.has(f) || f === key[1])
      .map(([f, detail]): Option => ({ insert: `${f} = "`, detail }));
    return key[1] ? pick(options, key[1]) : undefined;
  }
  const known = keys[table] ?? (table.startsWith("services.") ? service : undefined);
  const key = /^\s*([\w-]+)$/.exec(line);
  if (!known || !key || rest.trim()) return undefined;
  const there = new Set(entries(text, table));
  return pick(
    Object.entries(known)
      .filter(([k]) => !there.has(k))
      .map(([k, detail]): Option => ({ insert: `${k} = `, detail })),
    key[1]!,
  );
}

/** The keys that a table has, as they are written. */
function entries(text: string, table: string): string[] {
  let at = "";
  return text.split("\n").flatMap((l) => {
    const header = /^\s*\[\s*([\w.-]+)\s*\]/.exec(l);
    if (header) at = header[1]!;
    const key = /^\s*"?([\w.+-]+)"?\s*=/.exec(l);
    return key && at === table ? [key[1]!] : [];
  });
}

/** A line of one text that the other has not, or of both. */
export interface DiffLine {
  op: "+" | "-" | " ";
  text: string;
}

/** What differs between two texts, line by line, with a line around each change. */
export function lineDiff(a: string, b: string): DiffLine[] {
  const [x, y] = [a.split("\n"), b.split("\n")];
  // The longest common subsequence; a manifest is short enough for the plain way.
  const width = y.length + 1;
  const table = new Uint32Array((x.length + 1) * width);
  for (let i = x.length - 1; i >= 0; i--)
    for (let j = y.length - 1; j >= 0; j--)
      table[i * width + j] =
        x[i] === y[j]
          ? table[(i + 1) * width + j + 1]! + 1
          : Math.max(table[(i + 1) * width + j]!, table[i * width + j + 1]!);
  const all: DiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < x.length || j < y.length) {
    if (i < x.length && j < y.length && x[i] === y[j]) {
      all.push({ op: " ", text: x[i]! });
      i++;
      j++;
    } else if (i < x.length && (j >= y.length || table[(i + 1) * width + j]! >= table[i * width + j + 1]!)) {
      all.push({ op: "-", text: x[i++]! });
    } else all.push({ op: "+", text: y[j++]! });
  }
  return all.filter((l, n) => l.op !== " " || [all[n - 1], all[n + 1]].some((o) => o && o.op !== " "));
}
