import { createHash } from 'node:crypto';
import { createConnection } from 'node:net';

import { ConnectionError, DatabaseError } from './errors.js';
import * as protocol from './protocol.js';
import { Scram } from './scram.js';
import { decode, encode } from './types.js';

/**
 * One connection to a server. Queries may be asked for at any time; they run one
 * after the other.
 */
export class Connection {
  #socket;
  #decoder = new protocol.Decoder();
  #options;
  #queue = [];
  #current = null; // the query that runs, or the start-up
  #scram = null;
  #closed = null; // why the connection is unusable
  #ended;

  /** 'I' when idle, 'T' in a transaction, 'E' in one that failed. */
  status = '';
  /** The server's settings that it reports: server_version, TimeZone… */
  parameters = {};

  /** Connects with the options that parseConfig returns. */
  static async connect(options) {
    const c = new Connection(options);
    await c.#start();
    return c;
  }

  constructor(options) {
    this.#options = options;
  }

  get usable() {
    return !this.#closed;
  }

  #start() {
    const { host, port, user, database, settings, timeout } = this.#options;
    const where = host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port };
    this.#socket = createConnection(where);
    this.#socket.setNoDelay(true);
    this.#ended = new Promise((resolve) => this.#socket.once('close', resolve));
    return new Promise((resolve, reject) => {
      this.#current = { resolve, reject };
      const timer = setTimeout(() => this.#fail(new ConnectionError(`PostgreSQL did not answer in ${timeout} ms`)), timeout);
      this.#current.settled = () => clearTimeout(timer);
      this.#socket.once('connect', () => {
        this.#socket.write(protocol.startup({ user, database, client_encoding: 'UTF8', ...settings }));
      });
      this.#socket.on('data', (chunk) => this.#receive(chunk));
      this.#socket.on('error', (err) => this.#fail(new ConnectionError(`PostgreSQL cannot be reached: ${err.message}`, err)));
      this.#socket.on('close', () => this.#fail(new ConnectionError('PostgreSQL closed the connection')));
    });
  }

  /**
   * Runs SQL. With values, it is one statement whose $1, $2… they are; without,
   * it may be several, and the result is that of the last. A result has rows (an
   * object each), rowCount and command.
   */
  query(sql, values) {
    let data;
    try {
      data = values ? protocol.extended(sql, values.map(encode)) : protocol.query(sql);
    } catch (err) {
      return Promise.reject(err);
    }
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(this.#closed);
        return;
      }
      this.#queue.push({ data, resolve, reject, fields: [], rows: [], result: null, error: null });
      this.#next();
    });
  }

  /** Says good-bye, once the queries that were asked for have run. */
  async close() {
    if (this.#closed) return;
    if (this.#current || this.#queue.length) {
      await this.query('').catch(() => {});
    }
    this.#socket.end(protocol.terminate());
    this.#fail(new ConnectionError('the connection is closed'), false);
    await this.#ended;
  }

  #next() {
    if (!this.#current && this.#queue.length) {
      this.#current = this.#queue.shift();
      this.#socket.write(this.#current.data);
    }
  }

  #fail(err, destroy = true) {
    if (this.#closed) return;
    this.#closed = err;
    if (destroy) this.#socket.destroy();
    for (const waiting of [this.#current, ...this.#queue]) {
      waiting?.settled?.();
      waiting?.reject(waiting.error ?? err);
    }
    this.#current = null;
    this.#queue = [];
  }

  #receive(chunk) {
    try {
      for (const { type, body } of this.#decoder.push(chunk)) {
        if (this.#closed) return;
        this.#handle(type, body);
      }
    } catch (err) {
      this.#fail(new ConnectionError(`the server broke the protocol: ${err.message}`, err));
    }
  }

  #handle(type, body) {
    const q = this.#current;
    switch (type) {
      case 'R':
        this.#authenticate(body);
        break;
      case 'S':
        this.parameters[body.text()] = body.text();
        break;
      case 'E': {
        const err = new DatabaseError(fieldsOf(body));
        if (!q || q.settled) this.#fail(err); // at start-up, or because the server ends
        else q.error ??= err;
        break;
      }
      case 'T':
        q.fields = Array.from({ length: body.int16() }, () => column(body));
        q.rows = [];
        break;
      case 'D':
        q.rows.push(row(q.fields, body));
        break;
      case 'C':
        q.result = result(body.text(), q.rows);
        q.fields = [];
        q.rows = [];
        break;
      case 'G': // COPY FROM STDIN
        this.#socket.write(protocol.copyFail('this client does not copy'));
        break;
      case 'Z':
        this.status = body.byte();
        this.#current = null;
        if (q?.settled) {
          q.settled();
          q.resolve();
        } else if (q?.error) {
          q.reject(q.error);
        } else {
          q?.resolve(q.result ?? result('', []));
        }
        this.#next();
        break;
      default: // notices, notifications, what only completes a step, and copied data
    }
  }

  #authenticate(body) {
    const { user, password } = this.#options;
    const kind = body.int32();
    if (kind !== 0 && kind !== 12 && password === undefined) {
      this.#fail(new ConnectionError(`PostgreSQL wants a password for ${user}, and there is none`));
      return;
    }
    switch (kind) {
      case 0: // it is done
        if (this.#scram && !this.#scram.finished) throw new Error('the authentication was cut short');
        break;
      case 3: // in clear
        this.#socket.write(protocol.password(password));
        break;
      case 5: {
        const md5 = (data) => createHash('md5').update(data).digest('hex');
        const salted = Buffer.concat([Buffer.from(md5(password + user)), body.bytes(4)]);
        this.#socket.write(protocol.password(`md5${md5(salted)}`));
        break;
      }
      case 10:
        this.#scram = new Scram(password);
        this.#socket.write(protocol.saslInitial('SCRAM-SHA-256', this.#scram.start()));
        break;
      case 11:
        this.#scram
          .respond(body.bytes().toString())
          .then((answer) => this.#socket.write(protocol.saslResponse(answer)))
          .catch((err) => this.#fail(new ConnectionError(err.message, err)));
        break;
      case 12:
        this.#scram.finish(body.bytes().toString());
        break;
      default:
        this.#fail(new ConnectionError(`PostgreSQL wants an authentication of kind ${kind}, which this client cannot do`));
    }
  }
}

function fieldsOf(body) {
  const fields = {};
  for (let key = body.byte(); key !== '\0'; key = body.byte()) {
    fields[key] = body.text();
  }
  return fields;
}

function column(body) {
  const name = body.text();
  body.bytes(6); // the table and its column
  const type = body.int32();
  body.bytes(8); // size, modifier, format
  return { name, type };
}

function row(fields, body) {
  const values = {};
  const count = body.int16();
  for (let i = 0; i < count; i++) {
    const length = body.int32();
    const { name, type } = fields[i];
    values[name] = length < 0 ? null : decode(type, body.bytes(length).toString());
  }
  return values;
}

/** Reads a command tag, such as "UPDATE 3" or "INSERT 0 1". */
function result(tag, rows) {
  const words = tag.split(' ');
  return { command: words[0], rows, rowCount: Number(words[words.length - 1]) || 0 };
}
