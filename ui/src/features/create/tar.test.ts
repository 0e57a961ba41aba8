import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { tar, wanted } from "./tar";

const encode = (s: string) => new TextEncoder().encode(s);

it("writes archives that tar reads", () => {
  const long = `${"deep/".repeat(30)}file.txt`;
  const archive = tar([
    { path: "nixspace.toml", data: encode("schema = 1\n") },
    { path: "bin/run", data: encode("#!/bin/sh\n"), executable: true },
    { path: long, data: encode("long") },
    { path: "ünï", data: encode("x".repeat(513)) },
    { path: "empty", data: new Uint8Array() },
  ]);
  expect(archive.length % 512).toBe(0);
  const list = execFileSync("tar", ["-tvf", "-"], {
    input: archive,
    env: { LC_ALL: "C.UTF-8", PATH: process.env.PATH },
  });
  const text = list.toString();
  expect(text).toContain(long);
  expect(text).toMatch(/-rwxr-xr-x .* 10 .* bin\/run/);
  expect(text).toContain("513");
  expect(execFileSync("tar", ["-xOf", "-", "nixspace.toml"], { input: archive }).toString()).toBe("schema = 1\n");
});

it("leaves out what is fetched", () => {
  expect(["src/a.js", "node_modules/x/a.js", "a/.git/config", ".gitignore"].map(wanted)).toEqual([
    true,
    false,
    false,
    true,
  ]);
});
