import { short } from "./format";

/** The colour that stands for a hash where there is no room for its picture. */
export const glyphColour = (hash: string): string =>
  `hsl(${Math.round((Number.parseInt(hash.slice(0, 2) || "0", 16) / 255) * 360)} 62% var(--glyph-light))`;

/**
 * A small picture of a hash: equal content looks equal, so that a branch without a
 * change is seen to be its parent.
 */
export function Glyph(props: { hash: string; size?: number }) {
  const part = (i: number) => Number.parseInt(props.hash.slice(i * 2, i * 2 + 2) || "0", 16);
  const colour = (i: number) => `hsl(${Math.round((part(i) / 255) * 360)} 62% var(--glyph-light))`;
  return (
    <svg class="glyph" width={props.size ?? 14} height={props.size ?? 14} viewBox="0 0 4 4" aria-hidden="true">
      <rect width="4" height="4" fill={colour(0)} />
      <path d={part(1) % 2 ? "M0 4 4 0v4z" : "M0 0h4L0 4z"} fill={colour(2)} />
      <circle cx="2" cy="2" r={0.5 + (part(3) % 3) * 0.3} fill={colour(4)} />
    </svg>
  );
}

/** A hash for people: its picture and its first digits. */
export function Hash(props: { hash: string; title?: string }) {
  return (
    <span class="hash" title={props.title ?? props.hash}>
      <Glyph hash={props.hash} />
      {short(props.hash)}
    </span>
  );
}
