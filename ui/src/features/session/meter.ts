export interface Sample {
  at: number; // milliseconds since the epoch
  cpuSeconds: number; // since the machine came up
  memory: number; // bytes
}

/** How busy a machine was between two samples: processors' worth, 0 and more. */
export function busy(before: Sample, now: Sample): number {
  const seconds = (now.at - before.at) / 1000;
  // A machine that came up anew counts from 0 again.
  return seconds > 0 && now.cpuSeconds >= before.cpuSeconds ? (now.cpuSeconds - before.cpuSeconds) / seconds : 0;
}

/** The points of a line through values from 0 to most, in a box of 100 by 100; the newest at the right. */
export function points(values: readonly number[], most: number, room: number): string {
  const step = 100 / Math.max(1, room - 1);
  return values
    .map((v, i) => {
      const x = 100 - (values.length - 1 - i) * step;
      const y = 100 - 100 * Math.min(1, Math.max(0, most > 0 ? v / most : 0));
      return `${Math.round(x * 10) / 10},${Math.round(y * 10) / 10}`;
    })
    .join(" ");
}
