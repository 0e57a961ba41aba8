import { expect, it } from "vitest";
import { busy, points } from "./meter";

const at = (seconds: number, cpuSeconds: number) => ({ at: seconds * 1000, cpuSeconds, memory: 0 });

it("says how busy a machine was", () => {
  expect(busy(at(10, 4), at(12, 5))).toBe(0.5);
  expect(busy(at(10, 4), at(12, 8))).toBe(2);
  expect(busy(at(10, 4), at(10, 8))).toBe(0);
  expect(busy(at(10, 4), at(12, 1))).toBe(0); // it came up again in between
});

it("draws the newest at the right", () => {
  expect(points([0, 1, 2], 2, 3)).toBe("0,100 50,50 100,0");
  expect(points([1], 2, 3)).toBe("100,50");
  expect(points([5], 2, 3)).toBe("100,0"); // more than all is all
  expect(points([1], 0, 3)).toBe("100,100");
});
