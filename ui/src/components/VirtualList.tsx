import { createMemo, createSignal, For, type JSX, onCleanup, onMount } from "solid-js";

/** Which of `total` rows of `height` pixels are seen between `top` and `top + view`, and some more. */
export function range(
  top: number,
  view: number,
  height: number,
  total: number,
  more = 8,
): { from: number; to: number } {
  const from = Math.max(0, Math.floor(top / height) - more);
  const to = Math.min(total, Math.ceil((top + view) / height) + more);
  return { from: Math.min(from, to), to };
}

/**
 * A list that scrolls with the page and holds only the rows that are seen, so that
 * ten thousand cost as much as fifty. All rows have one height.
 */
export function VirtualList<T>(props: {
  items: readonly T[];
  height: number;
  label: string;
  /** Whether the items are rows of a table: whoever draws them says so, and the list is their group. */
  rows?: boolean;
  children: (item: T, index: number) => JSX.Element;
}) {
  let box!: HTMLUListElement;
  const [seen, setSeen] = createSignal({ top: 0, view: 900 });
  const look = () => {
    const r = box.getBoundingClientRect();
    setSeen({ top: Math.max(0, -r.top), view: innerHeight });
  };
  onMount(() => {
    look();
    addEventListener("scroll", look, { passive: true, capture: true });
    addEventListener("resize", look);
  });
  onCleanup(() => {
    removeEventListener("scroll", look, { capture: true });
    removeEventListener("resize", look);
  });
  const window = createMemo(() => range(seen().top, seen().view, props.height, props.items.length), undefined, {
    equals: (a, b) => a.from === b.from && a.to === b.to,
  });
  const rows = createMemo(() => props.items.slice(window().from, window().to));
  return (
    <ul
      ref={box}
      class="virtual"
      role={props.rows ? "rowgroup" : undefined}
      aria-label={props.label}
      data-rows={props.items.length}
      style={{ height: `${props.items.length * props.height}px`, "--row": `${props.height}px` }}
    >
      <For each={rows()}>
        {(item, i) => (
          <li
            role={props.rows ? "presentation" : undefined}
            aria-setsize={props.rows ? undefined : props.items.length}
            aria-posinset={props.rows ? undefined : window().from + i() + 1}
            style={{ top: `${(window().from + i()) * props.height}px` }}
          >
            {props.children(item, window().from + i())}
          </li>
        )}
      </For>
    </ul>
  );
}
