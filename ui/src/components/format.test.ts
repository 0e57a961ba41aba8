import { expect, it } from "vitest";
import { ago, bytes, count, duration, growth, quote } from "./format";

it("writes bytes", () => {
  expect([0, 1023, 1024, 1536, 512 * 2 ** 20, 151 * 2 ** 20 + 5, 3 * 2 ** 40].map(bytes)).toEqual([
    "0 B",
    "1023 B",
    "1 KiB",
    "1.5 KiB",
    "512 MiB",
    "151 MiB",
    "3 TiB",
  ]);
  expect([2048, -2048, 0].map(growth)).toEqual(["+2 KiB", "−2 KiB", "±0"]);
});

it("writes times", () => {
  const now = Date.parse("2026-11-24T12:00:00Z");
  const before = (s: number) => ago(now - s * 1000, now);
  expect([3, 59, 60, 3599, 7200, 30 * 3600, 5 * 86400].map(before)).toEqual([
    "just now",
    "59 s ago",
    "1 min ago",
    "59 min ago",
    "2 h ago",
    "yesterday",
    "5 days ago",
  ]);
  expect(before(40 * 86400)).toBe("15 Oct");
  expect(ago("2024-01-02T00:00:00Z", now)).toContain("2024");
});

it("writes durations", () => {
  expect([4, 850, 12_345, 245_000, 3_720_000].map(duration)).toEqual([
    "4 ms",
    "850 ms",
    "12.3 s",
    "4 min 05 s",
    "1 h 02 min",
  ]);
});

it("quotes for the shell only what needs it", () => {
  expect(["shop/pg13", "postgresql=15", "a b", "it's", ""].map(quote)).toEqual([
    "shop/pg13",
    "postgresql=15",
    "'a b'",
    "'it'\\''s'",
    "''",
  ]);
});

it("counts", () => {
  expect([count(1, "branch", "branches"), count(10_000, "branch", "branches")]).toEqual([
    "1 branch",
    "10,000 branches",
  ]);
});
