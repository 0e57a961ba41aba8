import { expect, it } from "vitest";
import { match } from "./keys";

const list = [{ keys: "?" }, { keys: "g h" }, { keys: "g c" }, { keys: "b" }];

it("finds shortcuts of one key and of two", () => {
  expect(match(list, "", "b")).toBe(list[3]);
  expect(match(list, "", "g")).toBe("prefix");
  expect(match(list, "g", "c")).toBe(list[2]);
  expect(match(list, "g", "b")).toBeUndefined();
  expect(match(list, "", "h")).toBeUndefined();
});
