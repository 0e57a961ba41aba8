import { expect, it } from "vitest";
import { flags, suggestName, words } from "./edits";

it("suggests names that may be used", () => {
  expect(suggestName("shop", [{ op: "SET", key: "postgresql", value: "13" }])).toBe("shop-postgresql13");
  expect(suggestName("pg14", [{ op: "ADD", key: "redis", value: "*" }])).toBe("pg14-redis");
  expect(suggestName("shop", [{ op: "REMOVE", key: "redis" }])).toBe("shop-no-redis");
  expect(suggestName("shop", [{ op: "SET", key: "env.NODE_ENV", value: "a b/c" }])).toBe("shop-node-envabc");
  expect(suggestName("shop", [])).toBe("shop-2");
});

it("says the same on the command line", () => {
  expect(
    flags([
      { op: "SET", key: "postgresql", value: "15" },
      { op: "ADD", key: "redis", value: "*" },
      { op: "REMOVE", key: "git" },
    ]),
  ).toEqual(["--set", "postgresql=15", "--add", "redis", "--remove", "git"]);
});

it("says changes in words", () => {
  expect(words({ op: "SET", path: "packages.postgresql", from: "14 (14.23)", to: "15 (15.18)" })).toBe(
    "postgresql 14 (14.23) → 15 (15.18)",
  );
  expect(words({ op: "ADD", path: "packages.redis", to: "*" })).toBe("redis *");
});
