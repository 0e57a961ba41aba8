import { For } from "solid-js";

// Drawn on a grid of 16, one stroke of 1.5, after no set in particular.
const shapes = {
  home: ["M2.5 7 8 2.5 13.5 7v6.5h-4V9.5h-3v4h-4z"],
  branch: [
    "M4.5 4.5v7",
    "M4.5 9.5c0-3 7-1.5 7-5",
    "M4.5 2.5h0",
    "M6 3a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0Z",
    "M6 13a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0Z",
    "M13 3a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0Z",
  ],
  merge: [
    "M4.5 4.5v7",
    "M4.5 4.5c0 4 2.5 5 5.5 5",
    "M6 3a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0Z",
    "M6 13a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0Z",
    "M13 9.5a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0Z",
  ],
  box: ["M8 1.8 13.5 4.8v6.4L8 14.2 2.5 11.2V4.8z", "M2.7 4.9 8 7.8l5.3-2.9", "M8 7.8v6.2"],
  play: ["M5 3.2v9.6l7.5-4.8z"],
  stop: ["M4 4h8v8H4z"],
  pause: ["M5.5 3.5v9", "M10.5 3.5v9"],
  moon: ["M13.2 9.6A5.6 5.6 0 0 1 6.4 2.8a5.6 5.6 0 1 0 6.8 6.8Z"],
  sun: [
    "M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6Z",
    "M8 1.2v1.3M8 13.5v1.3M1.2 8h1.3M13.5 8h1.3M3.2 3.2l.9.9M11.9 11.9l.9.9M3.2 12.8l.9-.9M11.9 4.1l.9-.9",
  ],
  screen: ["M2 3h12v8H2z", "M5.5 13.5h5"],
  search: ["M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9Z", "m10.4 10.4 3.1 3.1"],
  plus: ["M8 3v10M3 8h10"],
  copy: ["M6 6h7v7.5H6z", "M10 6V2.5H3V10h3"],
  check: ["m3 8.5 3.2 3.2L13 4.8"],
  cross: ["m4 4 8 8M12 4l-8 8"],
  clock: ["M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2Z", "M8 4.8V8l2.2 1.6"],
  terminal: ["M2 3h12v10H2z", "m4.7 6.2 2 1.9-2 1.9", "M8.5 10.2h2.8"],
  more: ["M3.5 8h.01M8 8h.01M12.5 8h.01"],
  menu: ["M2.5 4.5h11M2.5 8h11M2.5 11.5h11"],
  right: ["m6 3.5 4.5 4.5L6 12.5"],
  up: ["m3.5 10 4.5-4.5L12.5 10"],
  eye: [
    "M1.5 8s2.4-4.5 6.5-4.5S14.5 8 14.5 8 12.1 12.5 8 12.5 1.5 8 1.5 8Z",
    "M8 6.2a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6Z",
  ],
  expand: ["M9.5 2.5h4v4M13.2 2.8 9 7", "M6.5 13.5h-4v-4M2.8 13.2 7 9"],
  shrink: ["M13 7H9V3M9.2 6.8l4-4", "M3 9h4v4M6.8 9.2l-4 4"],
  globe: ["M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2Z", "M2.2 8h11.6M8 2c2 2 2.6 4 2.6 6S10 12 8 14c-2-2-2.6-4-2.6-6S6 4 8 2Z"],
  download: ["M8 2.6v7.7M4.8 7.3 8 10.5l3.2-3.2", "M2.5 10.5v3h11v-3"],
  folder: ["M1.8 4.2V12.5h12.4V5.5H8L6.5 3.5H1.8z"],
  file: ["M4 2h5l3 3v9H4z", "M9 2v3h3"],
  down: ["m3.5 6 4.5 4.5L12.5 6"],
  alert: ["M8 2.2 14.3 13H1.7z", "M8 6.3v3.2M8 11.3v.1"],
  diff: ["M8 2.5v6M5 5.5h6M5 12.5h6"],
  fork: [
    "M8 9v3.5",
    "M4.5 4.5C4.5 8 11.5 8 11.5 4.5",
    "M6 3a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0Z",
    "M13 3a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0Z",
    "M9.5 13.5a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0Z",
  ],
  undo: ["M3 6.5h6.5a3.5 3.5 0 0 1 0 7H6", "M5.8 3.5 2.8 6.5l3 3"],
  trash: ["M2.8 4.2h10.4M6 4V2.5h4V4M4.2 4.4l.6 9.1h6.4l.6-9.1"],
  layers: ["M8 2 14 5.3 8 8.6 2 5.3z", "m2 8.3 6 3.3 6-3.3", "m2 11 6 3.3L14 11"],
  keyboard: ["M1.8 4h12.4v8H1.8z", "M4.5 6.7h.01M7 6.7h.01M9.5 6.7h.01M12 6.7h.01M5.2 9.5h5.6"],
  out: ["M6.5 2.5h-4v11h4", "M6 8h7.5M10.8 5.2 13.6 8l-2.8 2.8"],
  shield: ["M8 1.8 13 3.6v4c0 3.2-2.1 5.5-5 6.6-2.9-1.1-5-3.4-5-6.6v-4z"],
  tag: ["M2.5 2.5h5.4l5.6 5.6-5.4 5.4-5.6-5.6z", "M5.3 5.3h.01"],
  upload: ["M8 10.5V2.8M4.8 5.8 8 2.6l3.2 3.2", "M2.5 10.5v3h11v-3"],
  pulse: ["M1.5 8h3l2-5 3 10 2-5h3"],
} as const;

export type IconName = keyof typeof shapes;

/** A picture of 16 by 16 pixels; it says nothing to a screen reader. */
export function Icon(props: { name: IconName; size?: number }) {
  return (
    <svg
      width={props.size ?? 16}
      height={props.size ?? 16}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      stroke-width="1.4"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <For each={shapes[props.name] as readonly string[]}>{(d) => <path d={d} />}</For>
    </svg>
  );
}
