import { expect, test } from "vitest";
import { axis, type Measure, type Sample, value, verdict, whiskers } from "./answer";

test("axes have round steps and hold all values", () => {
  for (const [low, high] of [
    [0.983, 1.217],
    [0, 7],
    [1500, 1501],
    [-3, 3],
    [5, 5],
    [0, 0],
  ] as const) {
    const a = axis(low, high);
    expect(a.from).toBeLessThanOrEqual(low);
    expect(a.to).toBeGreaterThanOrEqual(high);
    expect(a.ticks.length).toBeGreaterThan(1);
    expect(a.ticks.length).toBeLessThan(14);
  }
  expect(axis(0, 10).ticks).toEqual([0, 2, 4, 6, 8, 10]);
});

test("whiskers end within the fences", () => {
  const values = [1, 2, 3, 4, 5, 50];
  const s = { values, summary: { q1: 2, q3: 5 } } as unknown as Sample;
  expect(whiskers(s)).toEqual({ low: 1, high: 5 });
});

test("verdicts know which way is better", () => {
  const m = (unit: string, higherIsBetter: boolean) => ({ unit, higherIsBetter }) as Measure;
  const d = (v: string) => ({ verdict: v }) as never;
  expect(verdict(d("higher"), m("s", false))).toEqual({ text: "slower", tone: "red" });
  expect(verdict(d("higher"), m("tps", true))).toEqual({ text: "better", tone: "green" });
  expect(verdict(d("none"), m("s", false)).tone).toBe("grey");
});

test("values have units", () => {
  expect([value(0.0015, "s"), value(1.25, "s"), value(2 ** 21, "B"), value(12.5, "tps"), value(3, "")]).toEqual([
    "1.5 ms",
    "1.250 s",
    "2.0 MiB",
    "12.5 tps",
    "3",
  ]);
});
