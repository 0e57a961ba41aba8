import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { pack, Remote, RemoteError, unpack, type Wire } from "./remote";

class Played implements Wire {
  binaryType = "";
  onopen: (() => void) | null = null;
  onmessage: ((e: { data: ArrayBuffer }) => void) | null = null;
  onclose: ((e: { code: number; reason: string }) => void) | null = null;
  sent: { header: Record<string, unknown>; body: Uint8Array }[] = [];
  send(data: Uint8Array<ArrayBuffer>) {
    const { header, body } = unpack(data.slice().buffer);
    this.sent.push({ header: header as Record<string, unknown>, body });
  }
  close() {}
  say(header: unknown, body?: Uint8Array) {
    this.onmessage?.({ data: pack(header, body).buffer });
  }
  hello() {
    this.say({ event: "hello", data: { session: "a/b/1", folder: "/workspace", platform: "" } });
  }
}

let wires: Played[] = [];
const last = () => wires[wires.length - 1] as Played;
let remote: Remote;

beforeEach(() => {
  vi.useFakeTimers();
  wires = [];
  remote = new Remote(() => {
    const w = new Played();
    wires.push(w);
    return w;
  });
});
afterEach(() => vi.useRealTimers());

test("what is asked before the connection is sent with it", async () => {
  const stat = remote.request<{ size: number }>("stat", { path: "/a" });
  expect(last().sent).toEqual([]);
  last().hello();
  expect((await remote.hello).session).toBe("a/b/1");
  const id = last().sent[0]?.header.id;
  last().say({ id, result: { size: 3 } }, new Uint8Array([1, 2]));
  const a = await stat;
  expect(a.result.size).toBe(3);
  expect([...a.body]).toEqual([1, 2]);
});

test("a broken connection fails what changes something, and asks the rest again", async () => {
  last().hello();
  const write = remote.request("write", { path: "/a" }, { body: new Uint8Array([7]) });
  const read = remote.request("read", { path: "/a" }, { again: true });
  expect([...(last().sent[0]?.body ?? [])]).toEqual([7]);
  const broken = expect(write).rejects.toMatchObject({ code: "unavailable" });
  last().onclose?.({ code: 1006, reason: "" });
  await broken;
  await vi.advanceTimersByTimeAsync(2000);
  expect(wires.length).toBe(2);
  last().hello();
  expect(last().sent.map((m) => m.header.method)).toEqual(["read"]);
  last().say({ id: last().sent[0]?.header.id, error: { code: "not_found", message: "no" } });
  await expect(read).rejects.toEqual(new RemoteError("not_found", "no"));
});

test("pieces, and giving up", async () => {
  last().hello();
  const parts: unknown[] = [];
  const stop = new AbortController();
  const search = remote.request("search", {}, { part: (p) => parts.push(p), signal: stop.signal });
  const id = last().sent[0]?.header.id;
  last().say({ id, part: [1] });
  last().say({ id, part: [2] });
  expect(parts).toEqual([[1], [2]]);
  const gone = expect(search).rejects.toMatchObject({ code: "canceled" });
  stop.abort();
  await gone;
  expect(last().sent[1]?.header).toEqual({ method: "cancel", params: { id } });
});
