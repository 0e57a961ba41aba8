import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { backoff, Socket, type SocketState } from "./socket";

class FakeWebSocket {
  readyState = 0;
  sent: { id?: string; type: string; payload?: { variables?: unknown } }[] = [];
  onopen: () => void = () => {};
  onmessage: (e: { data: string }) => void = () => {};
  onclose: () => void = () => {};
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
    this.onclose();
  }
  open() {
    this.readyState = 1;
    this.onopen();
    this.say({ type: "connection_ack" });
  }
  say(message: unknown) {
    this.onmessage({ data: JSON.stringify(message) });
  }
}

let sockets: FakeWebSocket[];
let states: SocketState[];
let socket: Socket;

beforeEach(() => {
  vi.useFakeTimers();
  sockets = [];
  states = [];
  socket = new Socket({
    open: () => {
      const ws = new FakeWebSocket();
      sockets.push(ws);
      return ws as unknown as WebSocket;
    },
    onState: (s) => states.push(s),
    backoff: (n) => 100 * 2 ** n,
  });
});
afterEach(() => {
  socket.close();
  vi.useRealTimers();
});

describe("Socket", () => {
  it("subscribes once the server agreed, and hands out what arrives", () => {
    const got: unknown[] = [];
    const complete = vi.fn();
    socket.subscribe("subscription A", () => ({ n: 1 }), { next: (d) => got.push(d), complete });
    sockets[0]!.open();
    expect(sockets[0]!.sent.map((m) => m.type)).toEqual(["connection_init", "subscribe"]);
    const id = sockets[0]!.sent[1]!.id!;
    sockets[0]!.say({ type: "next", id, payload: { data: { x: 1 } } });
    sockets[0]!.say({ type: "next", id: "99", payload: { data: { x: 2 } } });
    sockets[0]!.say({ type: "complete", id });
    sockets[0]!.say({ type: "next", id, payload: { data: { x: 3 } } });
    expect(got).toEqual([{ x: 1 }]);
    expect(complete).toHaveBeenCalledOnce();
  });

  it("connects again by itself and goes on from where it was", () => {
    let seq = 5;
    socket.subscribe("subscription A", () => ({ after: seq }), { next: () => {} });
    sockets[0]!.open();
    seq = 9;
    sockets[0]!.close();
    expect(states).toEqual(["connecting", "online", "waiting"]);
    vi.advanceTimersByTime(100);
    sockets[1]!.close(); // the server is not back yet
    vi.advanceTimersByTime(199);
    expect(sockets).toHaveLength(2);
    vi.advanceTimersByTime(1);
    sockets[2]!.open();
    expect(sockets[2]!.sent[1]!.payload!.variables).toEqual({ after: 9 });
    expect(states.at(-1)).toBe("online");
  });

  it("answers pings, and takes silence for the end", () => {
    socket.subscribe("subscription A", () => ({}), { next: () => {} });
    sockets[0]!.open();
    vi.advanceTimersByTime(40_000);
    sockets[0]!.say({ type: "ping" });
    expect(sockets[0]!.sent.at(-1)).toEqual({ type: "pong" });
    vi.advanceTimersByTime(40_000);
    expect(states.at(-1)).toBe("online");
    vi.advanceTimersByTime(5_000);
    expect(states.at(-1)).toBe("waiting");
  });

  it("does not come back for nobody, and retries at once when asked", () => {
    const end = socket.subscribe("subscription A", () => ({}), { next: () => {} });
    sockets[0]!.open();
    end();
    expect(sockets[0]!.sent.at(-1)!.type).toBe("complete");
    sockets[0]!.close();
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
    socket.subscribe("subscription B", () => ({}), { next: () => {} });
    sockets[1]!.close();
    socket.retry();
    expect(sockets).toHaveLength(3);
  });

  it("tells of errors of one subscription to that one alone", () => {
    const a = vi.fn();
    const b = vi.fn();
    socket.subscribe("subscription A", () => ({}), { next: () => {}, error: a });
    socket.subscribe("subscription B", () => ({}), { next: () => {}, error: b });
    sockets[0]!.open();
    sockets[0]!.say({ type: "error", id: sockets[0]!.sent[1]!.id, payload: [{ message: "no" }] });
    expect(a).toHaveBeenCalledWith([{ message: "no" }]);
    expect(b).not.toHaveBeenCalled();
  });
});

it("waits longer each time, but never longer than 12 seconds", () => {
  for (let n = 0; n < 40; n++) {
    expect(backoff(n)).toBeGreaterThanOrEqual(Math.min(8000, 500 * 2 ** n));
    expect(backoff(n)).toBeLessThanOrEqual(12_000);
  }
});
