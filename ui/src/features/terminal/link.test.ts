import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Link, type LinkState, type Wire } from "./link";
import { freeName } from "./names";

class FakeWire implements Wire {
  binaryType = "";
  protocol = "nixspace.exec.v1";
  sent: (string | Uint8Array)[] = [];
  closed = false;
  onopen: (() => void) | null = null;
  onmessage: ((e: { data: string | ArrayBuffer }) => void) | null = null;
  onclose: (() => void) | null = null;
  send(data: string | Uint8Array<ArrayBuffer>): void {
    this.sent.push(data);
  }
  close(): void {
    this.closed = true;
  }
  hello(terminal: object): void {
    this.onopen?.();
    this.onmessage?.({ data: JSON.stringify({ ok: true, terminal }) });
  }
  frame(type: number, ...bytes: number[]): void {
    this.onmessage?.({ data: new Uint8Array([type, ...bytes]).buffer });
  }
  output(text: string): void {
    this.frame(2, ...new TextEncoder().encode(text));
  }
  input(): string {
    return this.sent
      .filter((s): s is Uint8Array => typeof s !== "string" && s[0] === 0)
      .map((s) => new TextDecoder().decode(s.subarray(1)))
      .join("");
  }
  asked(): { id: string; from: number } {
    return JSON.parse(this.sent[0] as string).terminal;
  }
  acks(): number[] {
    return this.sent
      .filter((s): s is Uint8Array => typeof s !== "string" && s[0] === 8)
      .map((s) => Number(new DataView(s.buffer).getBigUint64(1)));
  }
}

const offset = (n: number) => [0, 0, 0, 0, 0, 0, n >> 8, n & 255];
let wires: FakeWire[] = [];
let states: LinkState[] = [];
let screen = "";
let pending: (() => void)[] = [];
const last = () => wires[wires.length - 1]!;

function link(): Link {
  wires = [];
  states = [];
  screen = "";
  pending = [];
  return new Link({
    connect: () => {
      const w = new FakeWire();
      wires.push(w);
      return w;
    },
    name: "main",
    viewer: "v",
    readOnly: false,
    size: () => ({ cols: 80, rows: 24 }),
    write: (b, done) => {
      screen += typeof b === "string" ? b : new TextDecoder().decode(b);
      pending.push(done);
    },
    onState: (s) => states.push(s),
    onStatus: () => {},
  });
}
const shown = () => {
  for (const done of pending.splice(0)) done();
};

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("it goes on at the byte where it was", () => {
  const l = link();
  last().hello({ id: "a", from: 0, reset: true, taken: 0, key: 1 });
  last().output("hello ");
  expect(last().acks()).toEqual([]);
  shown();
  expect(last().acks()).toEqual([6]);
  last().output("wor");
  last().onclose?.();
  expect(states.at(-1)).toEqual({ at: "offline" });
  vi.advanceTimersByTime(1000);
  expect(wires.length).toBe(2);
  last().onopen?.();
  expect(last().asked()).toMatchObject({ id: "a", from: 9 });
  last().hello({ id: "a", from: 9, taken: 0, key: 2 });
  last().output("ld");
  shown();
  expect(screen).toBe("\x1bchello world");
  expect(last().acks().at(-1)).toBe(11);
  l.close();
});

test("input is sent once, whatever breaks", () => {
  const l = link();
  l.type("early ");
  last().hello({ id: "a", from: 0, reset: true, taken: 0, key: 1 });
  l.type("one ");
  l.type("two ");
  expect(last().input()).toBe("early one two ");
  last().frame(11, ...offset(10));
  last().onclose?.();
  l.type("three");
  vi.advanceTimersByTime(1000);
  last().hello({ id: "a", from: 0, taken: 12, key: 2 });
  expect(last().input()).toBe("o three");
  // Another terminal of that name: what was typed was not for it.
  last().onclose?.();
  vi.advanceTimersByTime(2000);
  last().hello({ id: "b", from: 0, reset: true, taken: 0, key: 1 });
  expect(last().input()).toBe("");
  l.type("x");
  expect(last().input()).toBe("x");
  l.close();
});

test("a connection that is not trusted any more is made anew, without a gap", () => {
  const l = link();
  last().hello({ id: "a", from: 0, reset: true, taken: 0, key: 1 });
  last().output("abc");
  l.refresh();
  expect(wires.length).toBe(2);
  expect(wires[0]!.closed).toBe(true);
  wires[0]!.output("late"); // what still comes from there is not counted
  last().onopen?.();
  expect(last().asked()).toMatchObject({ id: "a", from: 3 });
  l.close();
  l.refresh();
  expect(wires.length).toBe(2);
});

test("no more input is on its way than may be", () => {
  const l = link();
  last().hello({ id: "a", from: 0, reset: true, taken: 0, key: 1 });
  expect(l.type("x".repeat(300_000))).toBe(true);
  expect(last().input().length).toBe(256 * 1024);
  last().frame(11, 0, 0, 0, 0, 0, 3, 0, 0);
  expect(last().input().length).toBe(300_000);
  expect(l.type("y".repeat(2_000_000))).toBe(false);
  l.close();
});

test("it knows when to wait and when it is over", () => {
  const l = link();
  const error = (o: object) => last().frame(7, ...new TextEncoder().encode(JSON.stringify(o)));
  error({ code: "session_asleep", kind: "conflict" });
  expect(states.at(-1)).toEqual({ at: "asleep" });
  vi.advanceTimersByTime(60_000);
  expect(wires.length).toBe(1);
  l.retry();
  error({ code: "machine_lost", kind: "unavailable" });
  expect(states.at(-1)).toEqual({ at: "offline" });
  vi.advanceTimersByTime(1000);
  expect(wires.length).toBe(3);
  last().hello({ id: "a", from: 5, reset: true, prelude: "\x1b[?25l", taken: 0, key: 1 });
  expect(screen).toBe("\x1bc\x1b[?25l");
  last().frame(9, ...offset(300));
  last().output("x");
  shown();
  expect(last().acks().at(-1)).toBe(301);
  last().frame(4, 0, 0, 0, 130);
  expect(states.at(-1)).toEqual({ at: "ended", code: 130 });
  l.retry();
  expect(wires.length).toBe(3);
});

test("a new terminal gets a name of its own", () => {
  expect(freeName([])).toBe("main");
  expect(freeName(["main", "shell-2"])).toBe("shell-3");
});
