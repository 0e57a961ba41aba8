import { type Accessor, createEffect, createSignal, on, onCleanup } from "solid-js";
import { createStore, produce, reconcile } from "solid-js/store";
import { base } from "../app/base";
import { ApiError, problem, request } from "./client";
import { type Doc, gql } from "./gql";
import { Socket, type SocketState } from "./socket";
import type { EventsSubscription, EventsSubscriptionVariables } from "./types";

const [state, setState] = createSignal<SocketState>("idle");
/** Whether news arrives at this moment. */
export const connection = state;

const [reconnects, setReconnects] = createSignal(0);

const socket = new Socket({
  open: () => {
    const url = new URL(`${base}/graphql`, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return new WebSocket(url, "graphql-transport-ws");
  },
  onState: (s, connections) => {
    setState(s);
    if (s === "online") setReconnects(connections);
  },
});
addEventListener("online", () => socket.retry());
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && socket.retry());

/** Tries to connect at once. */
export const reconnect = () => socket.retry();

/** Begins a subscription; it begins again by itself when the connection was lost. */
export function subscribe<R, V>(
  doc: Doc<R, V>,
  variables: () => V,
  next: (data: R) => void,
  more: { error?: (e: ApiError) => void; complete?: () => void } = {},
): () => void {
  return socket.subscribe<R>(doc.text, variables, {
    next,
    error: (e) => more.error?.(problem(e)),
    complete: more.complete,
  });
}

const EventsDoc = gql<EventsSubscription, EventsSubscriptionVariables>(/* GraphQL */ `
  subscription Events($after: Int64!) {
    events(after: $after) {
      seq at kind actor message projectId environmentId sessionId buildId data
    }
  }
`);

/** Something that happened. */
export type Event = EventsSubscription["events"];

const remembered = 100;
const [events, setEvents] = createSignal<Event[]>([]);
/** What happened of late, newest first. */
export const recentEvents = events;

const watchers = new Set<(e: Event) => void>();
let lastSeq = 0;
let startEvents = () => {
  startEvents = () => {};
  subscribe(
    EventsDoc,
    () => ({ after: lastSeq > 0 ? lastSeq : -remembered }),
    ({ events: e }) => {
      const old = e.seq <= lastSeq;
      if (old) return;
      lastSeq = e.seq;
      setEvents((list) => [e, ...list].slice(0, remembered));
      for (const watch of watchers) watch(e);
    },
  );
};

/** Begins to follow what happens. Called once somebody is signed in. */
export const followEvents = () => startEvents();

/** Calls watch for everything that happens while the owner lives. */
export function onEvent(watch: (e: Event) => void): void {
  watchers.add(watch);
  onCleanup(() => watchers.delete(watch));
}

export interface Live<T> {
  /** Undefined until the first answer came. */
  data: Accessor<T | undefined>;
  error: Accessor<ApiError | undefined>;
  loading: Accessor<boolean>;
  refetch: () => Promise<void>;
  /** Shows at once what is about to be true; the next answer puts right what was not. */
  patch: (change: (data: T) => void) => void;
}

/**
 * Asks a query, and again whenever its variables change, something relevant
 * happens, or the connection was lost in between. While it asks again, the last
 * answer stays, and what did not change in it stays the same object.
 */
export function live<R extends object, V>(
  doc: Doc<R, V>,
  variables: () => V | undefined,
  relevant: (e: Event) => boolean = () => true,
): Live<R> {
  const [store, setStore] = createStore<{ value: R | undefined }>({ value: undefined });
  const [error, setError] = createSignal<ApiError>();
  const [loading, setLoading] = createSignal(true);
  let running: AbortController | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  async function ask(): Promise<void> {
    const v = variables();
    if (v === undefined) return;
    running?.abort();
    const mine = new AbortController();
    running = mine;
    setLoading(true);
    try {
      const data = await request(doc, v, mine.signal);
      if (mine.signal.aborted) return;
      setStore("value", reconcile(data as R, { key: "id", merge: false }) as never);
      setError(undefined);
    } catch (e) {
      if (mine.signal.aborted) return;
      setError(e instanceof ApiError ? e : new ApiError(String(e), "unknown", "internal"));
    } finally {
      if (!mine.signal.aborted) setLoading(false);
    }
  }
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 120); // events come in bursts
  };

  let key = "";
  createEffect(() => {
    const v = variables();
    const now = JSON.stringify(v);
    if (now === key) return;
    if (key !== "") setStore("value", undefined as never);
    key = now;
    void ask();
  });
  createEffect(on(reconnects, (n) => n > 1 && void ask(), { defer: true }));
  onEvent((e) => relevant(e) && soon());
  onCleanup(() => {
    running?.abort();
    clearTimeout(timer);
  });
  const patch = (change: (data: R) => void) => {
    if (store.value) setStore("value", produce(change as (v: R | undefined) => void) as never);
  };
  return { data: () => store.value, error, loading, refetch: ask, patch };
}
