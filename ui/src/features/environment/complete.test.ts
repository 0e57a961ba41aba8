import { describe, expect, it } from "vitest";
import { complete, lineDiff, type Offered, tableAt, versions } from "./complete";

const offer = (family: string, version: string, isDefault = false): Offered => ({
  family,
  version,
  description: `${family} it is`,
  default: isDefault,
});
const offers = [
  offer("postgresql", "17.10", true),
  offer("postgresql", "15.18"),
  offer("nodejs", "24.21.0", true),
  offer("nodejs", "22.23.3"),
  offer("redis", "8.0.2", true),
  offer("redo", "1.0", true),
];
/** Completes at the bar. */
const at = (text: string) => {
  const caret = text.indexOf("|");
  const c = complete(text.replace("|", ""), caret, offers);
  return c && { from: c.from, options: c.options.map((o) => o.insert) };
};

describe("completion", () => {
  it("names packages that are not there yet", () => {
    expect(at("[packages]\nred|")?.options).toEqual(['redis = "', 'redo = "']);
    expect(at('[packages]\nredis = "*"\nred|')?.options).toEqual(['redo = "']);
    expect(at("[packages]\n|")).toBeUndefined();
    expect(at("[env]\nre|")).toBeUndefined();
    expect(at("re|")).toBeUndefined();
  });
  it("gives versions, what begins with the typed first", () => {
    expect(at('[packages]\npostgresql = "1|')?.options).toEqual(["17", "15", "17.10", "15.18"]);
    expect(at('[packages]\npostgresql = "15|')?.options).toEqual(["15.18"]);
    expect(at('[packages]\nnodejs = "|"')?.options).toEqual(["24", "22", "24.21.0", "22.23.3", "*"]);
    expect(at('[packages]\nnothing = "|"')).toBeUndefined();
  });
  it("knows tables and their keys", () => {
    expect(at("[ser|")?.options).toEqual(["services.postgresql]", "services.redis]"]);
    expect(at("[services.redis]\n[ser|]")?.options).toEqual(["services.postgresql"]);
    expect(at("[resources]\nme|")?.options).toEqual(["memory = "]);
    expect(at("[services.web]\nrea|")?.options).toEqual(["ready = ", "ready-http = ", "ready-port = "]);
    expect(at("sch|")?.options).toEqual(["schema = "]);
  });
  it("replaces what was typed, and nothing else", () => {
    const text = "[packages]\nre|";
    expect(at(text)?.from).toBe(text.indexOf("re|"));
  });
});

it("finds the table of a line", () => {
  const text = "schema = 1\n[packages]\na = 1\n[services.web]\nb = 2";
  expect([0, 2, 4].map((n) => tableAt(text, n))).toEqual(["", "packages", "services.web"]);
});

it("has no version twice", () => {
  const all = versions([offer("which", "2"), offer("which", "2.1")], "which").map((o) => o.insert);
  expect(all).toEqual(["2", "2.1", "*"]);
});

it("says what differs line by line", () => {
  expect(lineDiff("a\nb\nc\nd", "a\nB\nc\nd")).toEqual([
    { op: " ", text: "a" },
    { op: "-", text: "b" },
    { op: "+", text: "B" },
    { op: " ", text: "c" },
  ]);
  expect(lineDiff("same", "same")).toEqual([]);
  expect(lineDiff("", "x")).toEqual([
    { op: "-", text: "" },
    { op: "+", text: "x" },
  ]);
});
