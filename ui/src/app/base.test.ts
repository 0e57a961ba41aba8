import { expect, it } from "vitest";
import { inside } from "./base";

it("knows the page below a base", () => {
  expect(inside("/p/shop", "")).toBe("/p/shop");
  expect(inside("/tools/nixspace/p/shop", "/tools/nixspace")).toBe("/p/shop");
  expect(inside("/tools/nixspace/", "/tools/nixspace")).toBe("/");
  expect(inside("/tools/nixspace", "/tools/nixspace")).toBe("/");
  expect(inside("/tools/nixspace2/p", "/tools/nixspace")).toBe("/tools/nixspace2/p");
});
