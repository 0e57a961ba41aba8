/** What the server says when a request fails. */
export class RemoteError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export interface Answer<T> {
  result: T;
  body: Uint8Array<ArrayBuffer>;
}

interface Pending {
  message: Uint8Array<ArrayBuffer>;
  again: boolean; // it may be sent a second time
  resolve: (a: Answer<unknown>) => void;
  reject: (e: unknown) => void;
  part?: (result: unknown) => void;
}

interface Header {
  id?: number;
  result?: unknown;
  part?: unknown;
  error?: { code: string; message: string };
  event?: string;
  data?: unknown;
}

export interface Hello {
  session: string;
  folder: string;
  platform: string;
}

export interface RequestOptions {
  body?: Uint8Array;
  /** It changes nothing, so it is sent again after the connection broke. */
  again?: boolean;
  /** Told of each piece of an answer that comes in pieces. */
  part?: (result: unknown) => void;
  signal?: AbortSignal;
}

/** Where pages and servers differ, so that tests can play one. */
export interface Wire {
  binaryType: string;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(): void;
  onopen: (() => void) | null;
  onmessage: ((e: { data: ArrayBuffer }) => void) | null;
  onclose: ((e: { code: number; reason: string }) => void) | null;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A message is the length of its header, the header in JSON, and bytes. */
export function pack(header: unknown, body: Uint8Array = new Uint8Array(0)): Uint8Array<ArrayBuffer> {
  const head = encoder.encode(JSON.stringify(header));
  const message = new Uint8Array(4 + head.length + body.length);
  new DataView(message.buffer).setUint32(0, head.length);
  message.set(head, 4);
  message.set(body, 4 + head.length);
  return message;
}

export function unpack(data: ArrayBuffer): { header: unknown; body: Uint8Array<ArrayBuffer> } {
  const length = new DataView(data).getUint32(0);
  return {
    header: JSON.parse(decoder.decode(new Uint8Array(data, 4, length))),
    body: new Uint8Array(data, 4 + length),
  };
}

/** The session's machine, as the editor sees it. It connects again by itself. */
export class Remote {
  private wire: Wire | undefined;
  private open = false;
  private tries = 0;
  private nextId = 1;
  private readonly pending = new Map<number, Pending>();
  private readonly listeners = new Set<(event: string, data: unknown) => void>();
  private greeted!: (h: Hello) => void;
  private refused!: (e: unknown) => void;

  /** Settled with the first connection. */
  readonly hello: Promise<Hello>;
  onState: (connected: boolean, reason: string) => void = () => {};

  constructor(private readonly connect: () => Wire) {
    this.hello = new Promise((resolve, reject) => {
      this.greeted = resolve;
      this.refused = reject;
    });
    this.begin();
  }

  private begin(): void {
    const wire = this.connect();
    this.wire = wire;
    wire.binaryType = "arraybuffer";
    wire.onmessage = (e) => this.take(e.data);
    wire.onclose = (e) => this.lost(e.reason);
  }

  private lost(reason: string): void {
    this.open = false;
    this.wire = undefined;
    for (const [id, p] of this.pending) {
      if (p.again) continue;
      this.pending.delete(id);
      p.reject(new RemoteError("unavailable", "the connection to the session broke"));
    }
    this.onState(false, reason);
    const wait = Math.min(500 * 2 ** this.tries++, 8000) * (0.75 + Math.random() / 2);
    setTimeout(() => this.begin(), wait);
  }

  private take(data: ArrayBuffer): void {
    const { header, body } = unpack(data) as { header: Header; body: Uint8Array<ArrayBuffer> };
    if (header.event === "hello") {
      this.open = true;
      this.tries = 0;
      this.greeted(header.data as Hello);
      for (const p of this.pending.values()) this.wire?.send(p.message);
      this.onState(true, "");
      for (const l of this.listeners) l("connected", undefined);
      return;
    }
    if (header.event === "refused") {
      const e = header.data as { code: string; message: string };
      this.refused(new RemoteError(e.code, e.message));
      return;
    }
    if (header.event) {
      for (const l of this.listeners) l(header.event, header.data);
      return;
    }
    const p = this.pending.get(header.id ?? 0);
    if (!p) return;
    if (header.part !== undefined) {
      p.part?.(header.part);
      return;
    }
    this.pending.delete(header.id ?? 0);
    if (header.error) p.reject(new RemoteError(header.error.code, header.error.message));
    else p.resolve({ result: header.result, body });
  }

  /** Asks the machine for something. While there is no connection, it waits for one. */
  request<T>(method: string, params: unknown, o: RequestOptions = {}): Promise<Answer<T>> {
    return new Promise((resolve, reject) => {
      const id = this.nextId++;
      const message = pack({ id, method, params }, o.body);
      this.pending.set(id, {
        message,
        again: o.again ?? false,
        resolve: resolve as (a: Answer<unknown>) => void,
        reject,
        part: o.part,
      });
      if (this.open) this.wire?.send(message);
      o.signal?.addEventListener("abort", () => {
        if (!this.pending.delete(id)) return;
        if (this.open) this.wire?.send(pack({ method: "cancel", params: { id } }));
        reject(new RemoteError("canceled", "canceled"));
      });
    });
  }

  listen(l: (event: string, data: unknown) => void): void {
    this.listeners.add(l);
  }
}
