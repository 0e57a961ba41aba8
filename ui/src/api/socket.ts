import type { GraphQLProblem } from "./client";

/** What a subscription is told. */
export interface Listener<T> {
  next(data: T): void;
  /** The server refused or ended it; no more follows. */
  error?(errors: GraphQLProblem[]): void;
  /** It is over. */
  complete?(): void;
}

export type SocketState = "idle" | "connecting" | "online" | "waiting";

interface Subscription {
  query: string;
  /** Asked for at each (re)connect, so that it can go on from where it was. */
  variables: () => unknown;
  listener: Listener<unknown>;
}

type Message =
  | { type: "connection_ack" | "ping" | "pong" }
  | { type: "next"; id: string; payload: { data?: unknown; errors?: GraphQLProblem[] } }
  | { type: "error"; id: string; payload: GraphQLProblem[] }
  | { type: "complete"; id: string };

export interface SocketOptions {
  open: () => WebSocket;
  /** Told of every change; `since` counts connections, so 2 and more is a reconnect. */
  onState?: (state: SocketState, connections: number) => void;
  /** Milliseconds until the n-th attempt in a row, from 0. */
  backoff?: (attempt: number) => number;
  /** Milliseconds of silence after which a connection counts as dead: the server pings every 20 s. */
  silence?: number;
}

/** Half a second, doubling up to eight, and up to a half more so that not all come at once. */
export const backoff = (attempt: number) => Math.min(8000, 500 * 2 ** attempt) * (1 + Math.random() / 2);

/**
 * Carries subscriptions over one websocket, by the protocol graphql-transport-ws.
 * It connects when the first one begins, and again, for ever, when the connection
 * is lost; then every subscription begins anew by itself.
 */
export class Socket {
  private ws: WebSocket | null = null;
  private acked = false;
  private attempt = 0;
  private connections = 0;
  private nextId = 1;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watchdog: ReturnType<typeof setTimeout> | undefined;
  private readonly subs = new Map<string, Subscription>();

  constructor(private readonly options: SocketOptions) {}

  /** Begins a subscription and returns how to end it. */
  subscribe<T>(query: string, variables: () => unknown, listener: Listener<T>): () => void {
    const id = String(this.nextId++);
    const sub: Subscription = { query, variables, listener: listener as Listener<unknown> };
    this.subs.set(id, sub);
    if (this.acked) this.begin(id, sub);
    else this.connect();
    return () => {
      if (this.subs.delete(id) && this.acked) this.post({ id, type: "complete" });
    };
  }

  /** Tries at once instead of waiting: the network is back, or somebody looks at the page. */
  retry(): void {
    if (this.ws || this.subs.size === 0) return;
    this.attempt = 0;
    this.connect();
  }

  /** Ends everything. */
  close(): void {
    this.subs.clear();
    clearTimeout(this.timer);
    this.ws?.close(1000);
    this.lost(this.ws, false);
  }

  private connect(): void {
    if (this.ws) return;
    clearTimeout(this.timer);
    this.options.onState?.("connecting", this.connections);
    const ws = this.options.open();
    this.ws = ws;
    ws.onopen = () => this.post({ type: "connection_init" });
    ws.onmessage = (e) => this.read(ws, e.data);
    ws.onclose = () => this.lost(ws, true);
    this.heard();
  }

  private post(message: unknown): void {
    if (this.ws?.readyState === 1) this.ws.send(JSON.stringify(message));
  }

  private begin(id: string, sub: Subscription): void {
    this.post({ id, type: "subscribe", payload: { query: sub.query, variables: sub.variables() } });
  }

  private heard(): void {
    clearTimeout(this.watchdog);
    const ws = this.ws;
    this.watchdog = setTimeout(() => {
      ws?.close();
      this.lost(ws, true);
    }, this.options.silence ?? 45_000);
  }

  private read(ws: WebSocket, text: string): void {
    if (ws !== this.ws) return;
    this.heard();
    const m = JSON.parse(text) as Message;
    switch (m.type) {
      case "connection_ack":
        this.acked = true;
        this.attempt = 0;
        this.connections++;
        for (const [id, sub] of this.subs) this.begin(id, sub);
        this.options.onState?.("online", this.connections);
        break;
      case "ping":
        this.post({ type: "pong" });
        break;
      case "next": {
        const { data, errors } = m.payload;
        if (errors?.length) this.subs.get(m.id)?.listener.error?.(errors);
        else this.subs.get(m.id)?.listener.next(data);
        break;
      }
      case "error":
      case "complete": {
        const sub = this.subs.get(m.id);
        this.subs.delete(m.id);
        if (m.type === "error") sub?.listener.error?.(m.payload);
        else sub?.listener.complete?.();
        break;
      }
    }
  }

  private lost(ws: WebSocket | null, again: boolean): void {
    if (ws !== this.ws) return;
    this.ws = null;
    this.acked = false;
    clearTimeout(this.watchdog);
    if (!again || this.subs.size === 0) {
      this.options.onState?.("idle", this.connections);
      return;
    }
    this.timer = setTimeout(() => this.connect(), (this.options.backoff ?? backoff)(this.attempt++));
    this.options.onState?.("waiting", this.connections);
  }
}
