import { expect, it } from "vitest";
import { contextSource } from "./context";

it("takes the addresses that other tools put into a fragment", () => {
  const source = "https://example.org/acme/shop/tree/dev";
  expect(contextSource(`#${source}`)).toBe(source);
  expect(contextSource(`#${encodeURIComponent(source)}`)).toBe(source);
  expect(contextSource("#github:acme/shop")).toBe("github:acme/shop");
  expect(contextSource("#git@example.org:acme/shop.git")).toBe("git@example.org:acme/shop.git");
});

it("leaves other fragments alone", () => {
  for (const hash of ["", "#", "#L12", "#javascript:alert(1)", "#https://", "#https%3A%2F%2F%E0%A4%A", "#file:///etc"])
    expect(contextSource(hash), hash).toBeUndefined();
});
