import { expect, test } from "vitest";
import { placeOf } from "./place";

test("places in files", () => {
  expect(placeOf("", "/w")).toBeUndefined();
  expect(placeOf("a b.ts", "/w")).toEqual({ path: "/w/a b.ts", line: 0, column: 0 });
  expect(placeOf("/etc/x:12", "/w")).toEqual({ path: "/etc/x", line: 11, column: 0 });
  expect(placeOf("src/a.ts:3:5", "/w")).toEqual({ path: "/w/src/a.ts", line: 2, column: 4 });
  expect(placeOf("a:0", "/w")).toEqual({ path: "/w/a", line: 0, column: 0 });
  expect(placeOf("odd:name", "/w")).toEqual({ path: "/w/odd:name", line: 0, column: 0 });
});
