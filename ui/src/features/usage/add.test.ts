import { expect, it } from "vitest";
import { byEnvironment, taken } from "./add";

const canonical = (cpus: number, memory_mib: number) =>
  JSON.stringify({ resources: { cpus, memory_mib, disk_mib: 4096 } });

it("counts what runs, and not what sleeps", () => {
  const machines = [
    { status: "RUNNING", version: { canonical: canonical(2, 512) } },
    { status: "CREATING", version: { canonical: canonical(1, 256) } },
    { status: "HIBERNATED", version: { canonical: canonical(8, 8192) } },
  ];
  expect(taken(machines)).toEqual({ running: 2, cpus: 3, memory: 768 * 2 ** 20 });
  expect(taken([])).toEqual({ running: 0, cpus: 0, memory: 0 });
});

it("adds snapshots up by environment, without what they share", () => {
  const snaps = [
    { environmentRef: "shop/a", size: 100, shared: 90 },
    { environmentRef: "shop/b", size: 50, shared: 0 },
    { environmentRef: "shop/a", size: 20, shared: 0 },
  ];
  expect(byEnvironment(snaps)).toEqual([
    { ref: "shop/b", count: 1, size: 50 },
    { ref: "shop/a", count: 2, size: 30 },
  ]);
});
