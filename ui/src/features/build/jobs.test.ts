import { expect, it } from "vitest";
import { advance, inOrder, type Job, type Progress } from "./jobs";

const news = (job: string, phase: string, more: Partial<Progress> = {}): Progress => ({
  job,
  phase,
  done: 0,
  total: 0,
  unit: "",
  final: false,
  ...more,
});

it("follows each path from its beginning to its end", () => {
  let jobs: Job[] = [];
  const hear = (n: Progress, at: number) => {
    jobs = advance(jobs, n, at);
  };
  hear(news("packages", "fetch", { done: 10, total: 100, unit: "B" }), 1);
  hear(news("nodejs-22", "build"), 2);
  hear(news("packages", "fetch", { done: 60, total: 100, unit: "B" }), 3);
  hear(news("packages", "fetch", { final: true }), 4);
  hear(news("redis-8", "build"), 5);
  hear(news("nodejs-22", "build", { final: true }), 6);
  expect(jobs.map((j) => [j.job, j.done, j.total, j.began, j.ended])).toEqual([
    ["packages", 100, 100, 1, 4],
    ["nodejs-22", 0, 0, 2, 6],
    ["redis-8", 0, 0, 5, undefined],
  ]);
  expect(inOrder(jobs).map((j) => j.job)).toEqual(["redis-8", "nodejs-22", "packages"]);
});

it("does not take lines of a log for jobs", () => {
  expect(advance([], news("", "build"), 1)).toEqual([]);
  expect(advance([], news("nix", ""), 1)).toEqual([]);
});
