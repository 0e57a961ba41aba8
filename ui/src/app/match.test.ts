import { expect, it } from "vitest";
import { best, score } from "./match";

it("ranks whole words over beginnings over scattered letters", () => {
  const names = ["shop/pg14-redis", "shop/pg14", "catalog postgresql 14", "shop/pg13"];
  expect(best(names, "pg14", (n) => n)).toEqual(["shop/pg14", "shop/pg14-redis", "catalog postgresql 14"]);
  expect(best(names, "redis shop", (n) => n)[0]).toBe("shop/pg14-redis");
  expect(best(names, "zzz", (n) => n)).toEqual([]);
  expect(best(names, " ", (n) => n, 2)).toEqual(names.slice(0, 2));
});

it("needs every word", () => {
  expect(score("shop/pg13", "shop pg14")).toBe(0);
});

it("stays quick with ten thousand items", () => {
  const names = Array.from({ length: 10_000 }, (_, i) => `shop/feature-${i}`);
  expect(best(names, "feature-9999", (n) => n)[0]).toBe("shop/feature-9999");
});
