export interface Progress {
  job: string;
  phase: string;
  done: number;
  total: number;
  unit: string;
  final: boolean;
}

/** One store path, or another piece of a build, and how far it is. */
export interface Job extends Progress {
  /** Milliseconds since the epoch when it was first heard of, and when it ended. */
  began: number;
  ended?: number;
}

/** Takes a piece of news into the list of jobs. One that begins again after its end is the same job. */
export function advance(jobs: readonly Job[], news: Progress, now: number): Job[] {
  const key = `${news.job} ${news.phase}`;
  const i = jobs.findIndex((j) => `${j.job} ${j.phase}` === key);
  const before = jobs[i];
  if (!news.job || (!before && !news.phase)) return [...jobs];
  const job: Job = {
    ...news,
    // What is over says no numbers any more.
    done: news.final ? Math.max(news.done, before?.total ?? 0, before?.done ?? 0) : news.done,
    total: news.total || (news.final ? (before?.total ?? 0) : 0),
    unit: news.unit || (before?.unit ?? ""),
    began: before?.began ?? now,
    ended: news.final ? now : undefined,
  };
  return before ? jobs.with(i, job) : [...jobs, job];
}

/** What is under way, the oldest first, and then what is over, the last one first. */
export function inOrder(jobs: readonly Job[]): Job[] {
  const open = jobs.filter((j) => j.ended === undefined);
  const over = jobs.filter((j) => j.ended !== undefined);
  return [...open, ...over.reverse()];
}
