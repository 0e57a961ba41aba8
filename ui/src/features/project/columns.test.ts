import { expect, it } from "vitest";
import { ordered, packageColumns, type Row } from "./columns";

const row = (name: string, updatedAt: string, sessions: number, packages: Record<string, string>): Row => ({
  id: name,
  ref: `p/${name}`,
  name,
  parent: name === "a" ? null : { id: "a", name: "a" },
  updatedAt,
  sessions: Array.from({ length: sessions }),
  head: { packages: Object.entries(packages).map(([n, version]) => ({ name: n, version })) },
});
const rows = [
  row("b10", "2026-01-02", 0, { node: "9.1", pg: "14" }),
  row("a", "2026-01-03", 2, { node: "22.3" }),
  row("b9", "2026-01-01", 10, { node: "22.3", redis: "8" }),
];
const names = (by: string, down = false) => ordered(rows, { by, down }).map((r) => r.name);

it("has a column for the packages that most have", () => {
  expect(packageColumns(rows)).toEqual(["node", "pg", "redis"]);
  expect(packageColumns(rows, 1)).toEqual(["node"]);
  expect(packageColumns([])).toEqual([]);
});

it("orders as people count", () => {
  expect(names("name")).toEqual(["a", "b9", "b10"]);
  expect(names("package:node")).toEqual(["b10", "a", "b9"]);
  expect(names("package:redis", true)).toEqual(["b9", "a", "b10"]);
  expect(names("sessions", true)).toEqual(["b9", "a", "b10"]);
  expect(names("updated", true)).toEqual(["a", "b10", "b9"]);
  expect(names("parent")).toEqual(["a", "b9", "b10"]);
});
