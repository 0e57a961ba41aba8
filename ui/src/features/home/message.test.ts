import { expect, it } from "vitest";
import { parts } from "./message";

it("finds environments and sessions in messages", () => {
  expect(parts("branched shop/pg13 from shop/shop")).toEqual([
    { text: "branched " },
    { text: "shop/pg13", href: "/e/shop/pg13" },
    { text: " from " },
    { text: "shop/shop", href: "/e/shop/shop" },
  ]);
  expect(parts("shop/pg14: built")[0]).toEqual({ text: "shop/pg14", href: "/e/shop/pg14" });
  expect(parts("session shop/pg14/12 runs")[1]).toEqual({ text: "shop/pg14/12", href: "/s/shop/pg14/12" });
});

it("takes no path for a name", () => {
  for (const text of ["nothing here", "read /nix/store/x-y", "https://a.b/c/d", "1/2/"]) {
    expect(parts(text)).toEqual([{ text }]);
  }
});
