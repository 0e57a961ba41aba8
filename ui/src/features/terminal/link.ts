/** What a browser's WebSocket is to a link, so that tests can play one. */
export interface Wire {
  binaryType: string;
  readonly protocol: string;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(): void;
  onopen: (() => void) | null;
  onmessage: ((e: { data: string | ArrayBuffer }) => void) | null;
  onclose: (() => void) | null;
}

export interface Viewer {
  key: number;
  who?: string;
  read_only?: boolean;
  cols?: number;
  rows?: number;
}

/** How a terminal stands, as its status frames tell. */
export interface Status {
  name: string;
  cols: number;
  rows: number;
  process?: string;
  viewers: Viewer[];
}

interface Attached {
  id: string;
  from: number;
  reset?: boolean;
  prelude?: string;
  taken: number;
  key: number;
  created?: boolean;
}

/** offline: it connects again by itself. asleep and stopped: it waits to be told to. */
export type LinkState =
  | { at: "connecting" | "open" | "offline" | "asleep" | "stopped" }
  | { at: "ended"; code: number }
  | { at: "refused"; message: string; hint: string };

export interface LinkOptions {
  connect: () => Wire;
  name: string;
  /** A random name of this viewer, kept while the page is open. */
  viewer: string;
  readOnly: boolean;
  size: () => { cols: number; rows: number };
  /** Shows bytes, and calls done when they are shown. */
  write: (bytes: Uint8Array | string, done: () => void) => void;
  onState: (s: LinkState) => void;
  onStatus: (s: Status, key: number) => void;
}

const frame = { stdin: 0, stdout: 2, exit: 4, resize: 5, error: 7, ack: 8, skip: 9, status: 10, taken: 11 };
const inWindow = 256 * 1024; // bytes of input that may be on their way
const piece = 32 * 1024;
const typedMax = 1024 * 1024; // bytes of input that are kept while there is no connection
const ackEvery = 32 * 1024;
const text = new TextDecoder();
const encoder = new TextEncoder();

/**
 * A viewer's connection to a terminal. It connects again by itself and goes on at
 * the byte where it was, in both directions.
 */
export class Link {
  private wire: Wire | undefined;
  private attached: Attached | undefined; // on this connection
  private id = "";
  private offset = 0; // of the next byte of output
  private shown = 0; // everything before it is on the screen
  private acked = 0;
  private writing = 0;
  private typed = new Uint8Array(0); // what the terminal does not have yet, as far as is known
  private taken = 0; // offset of its first byte
  private sent = 0;
  private tries = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private closed = false;
  private state: LinkState = { at: "connecting" };

  constructor(private readonly o: LinkOptions) {
    this.open();
  }

  private set(s: LinkState): void {
    this.state = s;
    this.o.onState(s);
  }

  private open(): void {
    clearTimeout(this.timer);
    this.drop();
    this.set({ at: "connecting" });
    const wire = this.o.connect();
    this.wire = wire;
    wire.binaryType = "arraybuffer";
    wire.onopen = () => {
      const { cols, rows } = this.o.size();
      wire.send(
        JSON.stringify({
          cols,
          rows,
          term: "xterm-256color",
          env: { COLORTERM: "truecolor" },
          terminal: {
            name: this.o.name,
            viewer: this.o.viewer,
            id: this.id,
            from: this.offset,
            read_only: this.o.readOnly,
          },
        }),
      );
    };
    wire.onmessage = (e) => {
      if (wire === this.wire) this.take(e.data);
    };
    wire.onclose = () => {
      if (wire !== this.wire) return;
      this.wire = undefined;
      this.attached = undefined;
      if (this.state.at === "connecting" || this.state.at === "open") this.again();
    };
  }

  private drop(): void {
    const wire = this.wire;
    this.wire = undefined;
    this.attached = undefined;
    wire?.close();
  }

  private again(): void {
    if (this.closed) return;
    this.set({ at: "offline" });
    const wait = Math.min(500 * 2 ** this.tries++, 8000);
    this.timer = setTimeout(() => this.open(), wait * (0.75 + Math.random() / 2));
  }

  /** Connects now, if there is no connection. */
  retry(): void {
    if (this.closed || this.wire || this.state.at === "ended") return;
    this.tries = 0;
    this.open();
  }

  /** Connects anew: one that lived through a sleep of this computer may be dead without a word. */
  refresh(): void {
    if (this.closed || (this.state.at !== "open" && this.state.at !== "offline")) return;
    this.tries = 0;
    this.open();
  }

  /** Ends the connection; the terminal goes on. */
  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.drop();
  }

  resize(): void {
    if (!this.attached) return;
    const { cols, rows } = this.o.size();
    const b = new DataView(new ArrayBuffer(5));
    b.setUint8(0, frame.resize);
    b.setUint16(1, cols);
    b.setUint16(3, rows);
    this.wire?.send(new Uint8Array(b.buffer));
  }

  /** Types. It returns false when there is too much that the terminal has not taken. */
  type(data: string | Uint8Array): boolean {
    if (this.o.readOnly) return true;
    const b = typeof data === "string" ? encoder.encode(data) : data;
    if (this.typed.length + b.length > typedMax) return false;
    const all = new Uint8Array(this.typed.length + b.length);
    all.set(this.typed);
    all.set(b, this.typed.length);
    this.typed = all;
    this.pump();
    return true;
  }

  private pump(): void {
    if (!this.attached || !this.wire) return;
    const end = this.taken + this.typed.length;
    while (this.sent < end && this.sent - this.taken < inWindow) {
      const n = Math.min(piece, end - this.sent, inWindow - (this.sent - this.taken));
      const b = new Uint8Array(1 + n);
      b[0] = frame.stdin;
      b.set(this.typed.subarray(this.sent - this.taken, this.sent - this.taken + n), 1);
      this.wire.send(b);
      this.sent += n;
    }
  }

  private take(data: string | ArrayBuffer): void {
    if (typeof data === "string") {
      const hello = JSON.parse(data) as { terminal?: Attached };
      if (hello.terminal) this.begin(hello.terminal);
      return;
    }
    const b = new Uint8Array(data);
    const rest = b.subarray(1);
    switch (b[0]) {
      case frame.stdout:
        this.offset += rest.length;
        this.show(rest, this.offset);
        break;
      case frame.skip:
        this.offset = number(rest);
        this.show("\x1bc", this.offset);
        break;
      case frame.status:
        if (this.attached) this.o.onStatus(JSON.parse(text.decode(rest)) as Status, this.attached.key);
        break;
      case frame.taken:
        this.forget(number(rest));
        this.pump();
        break;
      case frame.exit:
        this.set({ at: "ended", code: new DataView(rest.buffer, rest.byteOffset).getInt32(0) });
        this.drop();
        break;
      case frame.error:
        this.fail(JSON.parse(text.decode(rest)));
        break;
    }
  }

  private begin(at: Attached): void {
    this.attached = at;
    this.tries = 0;
    if (at.id !== this.id) {
      if (this.id) this.typed = new Uint8Array(0); // it was meant for another
      this.taken = at.taken;
    } else {
      this.forget(at.taken);
    }
    this.sent = at.taken;
    this.id = at.id;
    this.offset = at.from;
    this.acked = Math.min(this.acked, at.from);
    if (at.reset) {
      this.shown = at.from;
      this.acked = at.from;
      this.show(`\x1bc${at.prelude ?? ""}`, at.from);
    } else {
      this.acknowledge(true);
    }
    this.set({ at: "open" });
    this.resize();
    this.pump();
  }

  /** Forgets what was typed before an offset. */
  private forget(offset: number): void {
    const n = Math.min(Math.max(0, offset - this.taken), this.typed.length);
    this.typed = this.typed.slice(n);
    this.taken += n;
  }

  private show(what: Uint8Array | string, upTo: number): void {
    this.writing++;
    const id = this.id;
    this.o.write(what, () => {
      this.writing--;
      if (id !== this.id) return;
      this.shown = Math.max(this.shown, upTo);
      this.acknowledge(this.writing === 0);
    });
  }

  private acknowledge(now: boolean): void {
    if (!this.attached || (!now && this.shown - this.acked < ackEvery) || this.shown === this.acked) return;
    this.acked = this.shown;
    const b = new DataView(new ArrayBuffer(9));
    b.setUint8(0, frame.ack);
    b.setBigUint64(1, BigInt(Math.min(this.shown, this.offset)));
    this.wire?.send(new Uint8Array(b.buffer));
  }

  private fail(e: { code?: string; kind?: string; message?: string; hint?: string }): void {
    this.drop();
    if (e.code === "session_asleep") this.set({ at: "asleep" });
    else if (e.code === "session_not_running" || e.code === "session_not_found") this.set({ at: "stopped" });
    else if (e.kind === "unavailable" || e.kind === "canceled") this.again();
    else this.set({ at: "refused", message: e.message ?? "the terminal is refused", hint: e.hint ?? "" });
  }
}

function number(b: Uint8Array): number {
  return Number(new DataView(b.buffer, b.byteOffset).getBigUint64(0));
}

/** A name that nobody guesses. */
export function randomName(): string {
  return [...crypto.getRandomValues(new Uint8Array(18))].map((b) => b.toString(36).padStart(2, "0")).join("");
}
