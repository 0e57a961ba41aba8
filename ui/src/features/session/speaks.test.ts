import { expect, it } from "vitest";
import { mayServePages } from "./speaks";

it("offers pages of what may serve them, and of nothing else", () => {
  const services = [
    { name: "postgresql", ports: [5433] },
    { name: "web", ports: [6379] },
  ];
  expect(mayServePages({ port: 3000, process: "node server.js" })).toBe(true);
  expect(mayServePages({ port: 3000, process: "" })).toBe(true);
  expect(mayServePages({ port: 5432, process: "postgres" })).toBe(false);
  expect(mayServePages({ port: 5432, process: "" })).toBe(false);
  expect(mayServePages({ port: 6380, process: "redis-server *:6380" })).toBe(false);
  expect(mayServePages({ port: 5433, process: "" }, services)).toBe(false);
  // Its own program says more than a number that others are used to.
  expect(mayServePages({ port: 6379, process: "node" }, services)).toBe(true);
  expect(mayServePages({ port: 5432, process: "node pgadmin.js" })).toBe(true);
});
