/** What experiments found, as docs/compare.md has it. */
export interface Summary {
  n: number;
  median: number;
  lo: number;
  hi: number;
  min: number;
  q1: number;
  q3: number;
  max: number;
  noise: number;
  outliers: number[];
}

export interface Difference {
  verdict: "lower" | "higher" | "none" | "too_few" | "missing";
  adjusted: number;
  change: number;
  lo: number;
  hi: number;
  detectable: number;
}

export interface Sample {
  subject: string;
  values: number[];
  summary: Summary;
  precise: boolean;
}

export interface Measure {
  name: string;
  unit: string;
  higherIsBetter: boolean;
  samples: Sample[];
  differences: Difference[];
}

export interface CompareAnswer {
  plan: { confidence: number; precision: number; maxRuns: number };
  measures: Measure[];
  imprecise: string[];
  clones: boolean;
}

export interface TestTable {
  subjects: string[];
  rows: { name: string; statuses: string[]; detail?: string; different: boolean }[];
  passed: number;
  cut: boolean;
}

export interface BisectAnswer {
  first: string;
  message: string;
  author: string;
  suspects: string[];
  changes: { op: string; path: string; from?: string; to?: string }[];
  guilty: string[] | null;
  minimal: boolean;
  log: string[];
}

export interface CheckAnswer {
  passed: boolean;
  subjects: {
    subject: string;
    passed: boolean;
    seconds: number;
    size: number;
    checks: { name: string; run: number; passed: boolean; exitCode: number | null; seconds: number; error: string }[];
  }[];
}

/** A measurement with its unit, for people. */
export function value(v: number, unit: string): string {
  if (unit === "s") {
    const a = Math.abs(v);
    if (a === 0) return "0 s";
    if (a < 1e-3) return `${(v * 1e6).toFixed(1)} µs`;
    if (a < 1) return `${(v * 1e3).toFixed(1)} ms`;
    return a < 100 ? `${v.toFixed(3)} s` : `${Math.round(v)} s`;
  }
  if (unit === "B") {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let i = 0;
    let n = v;
    while (Math.abs(n) >= 1024 && i < units.length - 1) {
      n /= 1024;
      i++;
    }
    return `${i === 0 ? n : n.toFixed(1)} ${units[i]}`;
  }
  return `${Number(v.toPrecision(6))}${unit ? ` ${unit}` : ""}`;
}

export const percent = (x: number, sign = false): string =>
  `${x < 0 ? "−" : sign && x > 0 ? "+" : ""}${(100 * Math.abs(x)).toFixed(1)} %`;

/** What a difference means, and whether that is good. */
export function verdict(d: Difference, m: Measure): { text: string; tone: "green" | "red" | "grey" } {
  if (d.verdict === "missing") return { text: "nothing to compare", tone: "grey" };
  if (d.verdict === "too_few") return { text: "too few runs to say", tone: "grey" };
  if (d.verdict === "none") return { text: "no difference found", tone: "grey" };
  const better = (d.verdict === "higher") === m.higherIsBetter;
  const words = { s: ["faster", "slower"], B: ["less", "more"] }[m.unit] ?? ["better", "worse"];
  return { text: words[better ? 0 : 1]!, tone: better ? "green" : "red" };
}

/** Measures that say something: disks that were not used have zeros alone. */
export const telling = (ms: Measure[]): Measure[] =>
  ms.filter((m) => m.samples.some((s) => s.summary.max !== 0 || s.summary.min !== 0));

/** An axis from low to high with round steps. */
export function axis(low: number, high: number, steps = 5): { from: number; to: number; ticks: number[] } {
  if (!(high > low)) {
    const pad = Math.abs(low) * 0.05 || 1;
    return axis(low - pad, high + pad, steps);
  }
  const rough = (high - low) / steps;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((k) => k * power >= rough) ?? 10) * power;
  const from = Math.floor(low / step) * step;
  const to = Math.ceil(high / step) * step;
  const ticks: number[] = [];
  for (let i = 0; i <= Math.round((to - from) / step); i++) ticks.push(Number((from + i * step).toPrecision(12)));
  return { from, to, ticks };
}

/** Where the whiskers of a box end: at the last value within 1.5 interquartile ranges. */
export function whiskers(s: Sample): { low: number; high: number } {
  const fence = 1.5 * (s.summary.q3 - s.summary.q1);
  const inside = s.values.filter((v) => v >= s.summary.q1 - fence && v <= s.summary.q3 + fence);
  return { low: Math.min(s.summary.q1, ...inside), high: Math.max(s.summary.q3, ...inside) };
}
