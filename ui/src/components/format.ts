const units = ["B", "KiB", "MiB", "GiB", "TiB"];

/** 1536 is "1.5 KiB". */
export function bytes(n: number): string {
  let i = 0;
  let v = Math.abs(n);
  while (v >= 1024 && i < units.length - 1) {
    v /= 1024;
    i++;
  }
  const digits = i === 0 || v >= 100 ? 0 : 1;
  return `${n < 0 ? "−" : ""}${v.toFixed(digits).replace(/\.0$/, "")} ${units[i]}`;
}

/** Bytes with a sign: what something grew by. */
export const growth = (n: number): string => (n > 0 ? `+${bytes(n)}` : n === 0 ? "±0" : bytes(n));

/** "just now", "4 min ago", "yesterday", "12 Mar". */
export function ago(time: string | number | Date, now = Date.now()): string {
  const t = new Date(time).getTime();
  const s = (now - t) / 1000;
  if (s < 10) return "just now";
  if (s < 60) return `${Math.floor(s)} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 24 * 3600) return `${Math.floor(s / 3600)} h ago`;
  if (s < 48 * 3600) return "yesterday";
  if (s < 14 * 24 * 3600) return `${Math.floor(s / 86400)} days ago`;
  const d = new Date(t);
  const sameYear = d.getFullYear() === new Date(now).getFullYear();
  return d.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: sameYear ? undefined : "numeric" });
}

/** "850 ms", "12.3 s", "4 min 05 s". */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.round(ms / 1000);
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
}

/** The first 10 digits of a hash: enough for people, and for the command line. */
export const short = (hash: string): string => hash.slice(0, 10);

/** "1 branch", "3 branches". */
export const count = (n: number, one: string, many = `${one}s`): string =>
  `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** An argument as a shell takes it. */
export const quote = (arg: string): string =>
  /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", `'\\''`)}'`;
