import { expect, it } from "vitest";
import { replaced } from "./rows";

const env = (name: string, parent?: string, hash = "h") => ({
  id: name,
  ref: `p/${name}`,
  name,
  hash,
  updatedAt: "",
  parent: parent ? { id: parent, name: parent, hash: "h" } : null,
  head: { id: "v", hash, message: "", packages: [] },
});

it("puts an environment where its name belongs, and takes it away", () => {
  const all = [env("a"), env("c", "a")];
  expect(replaced(all, "b", env("b", "a")).map((e) => e.name)).toEqual(["a", "b", "c"]);
  expect(replaced(all, "z", env("z")).map((e) => e.name)).toEqual(["a", "c", "z"]);
  expect(replaced(all, "a", null).map((e) => e.name)).toEqual(["c"]);
  expect(replaced(all, "x", null)).toHaveLength(2);
});

it("tells those below of a new content or name", () => {
  const now = replaced([env("a"), env("c", "a")], "a", { ...env("b", undefined, "new"), id: "a" });
  expect(now.map((e) => [e.name, e.parent?.name, e.parent?.hash])).toEqual([
    ["b", undefined, undefined],
    ["c", "b", "new"],
  ]);
});
