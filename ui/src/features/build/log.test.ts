import { expect, it } from "vitest";
import { type Line, sections, subject } from "./log";

const line = (seq: number, text: string) => ({ seq, at: "", text });

it("knows what a line is about", () => {
  expect(subject("building '/nix/store/0123456789abcdfghijklmnpqrsvwxyz-postgresql-14.23.drv'")).toBe(
    "postgresql-14.23",
  );
  expect(subject("redis-8.0.2> unpacking")).toBe("redis-8.0.2");
  expect(subject("resolved nodejs")).toBeUndefined();
});

it("folds lines by what they are about", () => {
  const got = sections([
    line(1, "resolving"),
    line(2, "a-1> x"),
    line(3, "   indented"),
    line(4, "b-2> y"),
    line(5, "a-1> z"),
  ]);
  expect(got.map((s) => [s.title, s.lines.length])).toEqual([
    ["Log", 1],
    ["a-1", 2],
    ["b-2", 1],
    ["a-1", 1],
  ]);
});

it("keeps sections that have not grown", () => {
  const line = (seq: number, text: string): Line => ({ seq, at: "", text });
  const lines = [line(1, "a-1> x"), line(2, "a-1> y"), line(3, "b-2> x")];
  const first = sections(lines);
  const then = sections([...lines, line(4, "b-2> y")], first);
  expect(then[0]).toBe(first[0]);
  expect(then[1]).not.toBe(first[1]);
  expect(then[1]?.lines).toHaveLength(2);
});
