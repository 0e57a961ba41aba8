/**
 * The path below which the server is reached, as "/tools/nixspace": a proxy may
 * give it one of many. Empty for the whole of a host. The scripts know it by
 * where they came from.
 */
export const base: string = import.meta.env.DEV ? "" : new URL("..", import.meta.url).pathname.replace(/\/$/, "");

/** The path of the page in its own terms: without the base. */
export const inside = (pathname: string, below = base): string =>
  below && (pathname === below || pathname.startsWith(`${below}/`)) ? pathname.slice(below.length) || "/" : pathname;
