// The messages of PostgreSQL's wire protocol, version 3.0
// ("Frontend/Backend Protocol" in PostgreSQL's documentation).

/** No message of a server may be longer, in bytes. */
const MAX_MESSAGE = 256 * 1024 * 1024;

/** Builds one message of a client. */
class Message {
  #parts = [];
  #type;

  constructor(type) {
    this.#type = type;
  }

  int16(n) {
    const b = Buffer.alloc(2);
    b.writeInt16BE(n);
    return this.bytes(b);
  }

  int32(n) {
    const b = Buffer.alloc(4);
    b.writeInt32BE(n);
    return this.bytes(b);
  }

  bytes(b) {
    this.#parts.push(b);
    return this;
  }

  /** A string that a zero byte ends. */
  text(s) {
    if (s.includes('\0')) {
      throw new TypeError('PostgreSQL cannot take text with a zero byte');
    }
    return this.bytes(Buffer.from(`${s}\0`));
  }

  end() {
    const body = Buffer.concat(this.#parts);
    const head = Buffer.alloc(this.#type ? 5 : 4);
    if (this.#type) head.write(this.#type);
    head.writeInt32BE(body.length + 4, head.length - 4);
    return Buffer.concat([head, body]);
  }
}

/** The first message: user, database and any setting. */
export function startup(parameters) {
  const m = new Message('').int32(3 << 16);
  for (const [name, value] of Object.entries(parameters)) {
    m.text(name).text(value);
  }
  return m.bytes(Buffer.alloc(1)).end();
}

export const password = (text) => new Message('p').text(text).end();

export const saslInitial = (mechanism, response) => {
  const data = Buffer.from(response);
  return new Message('p').text(mechanism).int32(data.length).bytes(data).end();
};

export const saslResponse = (response) => new Message('p').bytes(Buffer.from(response)).end();

/** A simple query: one statement or several, without parameters. */
export const query = (sql) => new Message('Q').text(sql).end();

/** An extended query: one statement with parameters, as text or null. */
export function extended(sql, values) {
  const bind = new Message('B').text('').text('').int16(0).int16(values.length);
  for (const value of values) {
    if (value === null) {
      bind.int32(-1);
    } else {
      const data = Buffer.from(value);
      bind.int32(data.length).bytes(data);
    }
  }
  return Buffer.concat([
    new Message('P').text('').text(sql).int16(0).end(),
    bind.int16(0).end(),
    new Message('D').bytes(Buffer.from('P')).text('').end(),
    new Message('E').text('').int32(0).end(),
    new Message('S').end(),
  ]);
}

export const copyFail = (why) => new Message('f').text(why).end();
export const terminate = () => new Message('X').end();

/** Cuts what a server sends into messages. */
export class Decoder {
  #pending = Buffer.alloc(0);

  /** Returns the messages that are complete with chunk, as { type, body } in order. */
  push(chunk) {
    let data = this.#pending.length ? Buffer.concat([this.#pending, chunk]) : chunk;
    const messages = [];
    while (data.length >= 5) {
      const length = data.readInt32BE(1);
      if (length < 4 || length > MAX_MESSAGE) {
        throw new Error(`the server sent a message of ${length} bytes`);
      }
      if (data.length < length + 1) break;
      messages.push({ type: String.fromCharCode(data[0]), body: new Reader(data.subarray(5, length + 1)) });
      data = data.subarray(length + 1);
    }
    this.#pending = data;
    return messages;
  }
}

/** Reads the fields of one message. Reading past its end throws a RangeError. */
export class Reader {
  #data;
  #at = 0;

  constructor(data) {
    this.#data = data;
  }

  get left() {
    return this.#data.length - this.#at;
  }

  int16() {
    this.#at += 2;
    return this.#data.readInt16BE(this.#at - 2);
  }

  int32() {
    this.#at += 4;
    return this.#data.readInt32BE(this.#at - 4);
  }

  byte() {
    return this.bytes(1).toString('latin1');
  }

  bytes(length = this.left) {
    if (length < 0 || length > this.left) throw new RangeError('a message of the server is too short');
    this.#at += length;
    return this.#data.subarray(this.#at - length, this.#at);
  }

  /** A string that a zero byte ends. */
  text() {
    const end = this.#data.indexOf(0, this.#at);
    if (end < 0) throw new RangeError('a text of the server has no end');
    const s = this.#data.toString('utf8', this.#at, end);
    this.#at = end + 1;
    return s;
  }
}
