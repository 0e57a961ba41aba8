import { expect, it } from "vitest";
import { type TreeItem, tree } from "./tree";

const env = (name: string, parent: string | null, ...packages: string[]): TreeItem => ({
  id: name,
  name,
  parent: parent ? { id: parent } : null,
  head: { packages: packages.map((p) => ({ name: p.split("=")[0]!, version: p.split("=")[1]! })) },
});
const list = [
  env("shop", null, "postgresql=15.18"),
  env("pg13", "shop", "postgresql=13.23"),
  env("pg14", "shop", "postgresql=14.23"),
  env("pg14-redis", "pg14", "postgresql=14.23", "redis=8.0.2"),
  env("orphan", "gone"),
];
const shape = (filter?: string) =>
  tree(list, filter).map((r) => `${"-".repeat(r.depth)}${r.item.name}${r.matches ? "" : "?"}`);

it("is a tree of who was branched from whom", () => {
  expect(shape()).toEqual(["shop", "-pg13", "-pg14", "--pg14-redis", "orphan"]);
  expect(tree(list).map((r) => r.last)).toEqual([[false], [false, false], [false, true], [false, true, true], [true]]);
});

it("keeps the ancestors of what matches", () => {
  expect(shape("redis")).toEqual(["shop?", "-pg14?", "--pg14-redis"]);
  expect(shape("postgresql 13")).toEqual(["shop?", "-pg13"].map((s) => s.replace("shop?", "shop?")));
  expect(shape("nothing")).toEqual([]);
});

it("takes ten thousand in a chain, and ten thousand beside each other", () => {
  const chain = Array.from({ length: 10_000 }, (_, i) => env(`e${i}`, i ? `e${i - 1}` : null));
  const rows = tree(chain);
  expect(rows).toHaveLength(10_000);
  expect(Math.max(...rows.map((r) => r.depth))).toBeLessThan(20);
  const flat = Array.from({ length: 10_000 }, (_, i) => env(`e${i}`, i ? "e0" : null));
  expect(tree(flat, "e9999").map((r) => r.item.name)).toEqual(["e0", "e9999"]);
});
