import { Connection } from './connection.js';
import { ConnectionError } from './errors.js';

/** A few connections that many share. */
export class Pool {
  #options;
  #max;
  #size = 0; // connections that there are or that are being made
  #idle = [];
  #waiting = [];
  #ending = null;
  #ended = () => {};

  constructor(options, { max = 5 } = {}) {
    this.#options = options;
    this.#max = max;
  }

  /** Runs one query; see Connection.query. */
  query(sql, values) {
    return this.use((c) => c.query(sql, values));
  }

  /** Calls fn with a connection that nobody else has meanwhile. */
  async use(fn) {
    const c = await this.#acquire();
    try {
      return await fn(c);
    } finally {
      this.#release(c);
    }
  }

  /**
   * Calls fn with a connection in a transaction, which is committed when fn
   * returns and rolled back when it throws. A transaction that failed because
   * others ran at the same time is tried again.
   */
  async transaction(fn, { attempts = 5 } = {}) {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.use((c) => attemptTransaction(c, fn));
      } catch (err) {
        const concurrent = err.code === '40001' || err.code === '40P01';
        if (!concurrent || attempt >= attempts) throw err;
      }
    }
  }

  /** Closes all connections, each when it is free. */
  end() {
    this.#ending ??= new Promise((resolve) => {
      this.#ended = resolve;
      for (const { reject } of this.#waiting.splice(0)) reject(new ConnectionError('the pool has ended'));
      for (const c of this.#idle.splice(0)) this.#drop(c);
      if (this.#size === 0) resolve();
    });
    return this.#ending;
  }

  #acquire() {
    if (this.#ending) return Promise.reject(new ConnectionError('the pool has ended'));
    while (this.#idle.length) {
      const c = this.#idle.pop();
      if (c.usable) return Promise.resolve(c);
      this.#size--;
    }
    if (this.#size < this.#max) return this.#open();
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  async #open() {
    this.#size++;
    try {
      return await Connection.connect(this.#options);
    } catch (err) {
      this.#gone();
      throw err;
    }
  }

  #release(c) {
    if (this.#ending || !c.usable || c.status !== 'I') {
      this.#drop(c);
      return;
    }
    const next = this.#waiting.shift();
    if (next) next.resolve(c);
    else this.#idle.push(c);
  }

  #drop(c) {
    c.close().finally(() => this.#gone());
  }

  /** A connection less: somebody who waits may have a new one. */
  #gone() {
    this.#size--;
    if (this.#ending) {
      if (this.#size === 0) this.#ended();
      return;
    }
    const next = this.#waiting.shift();
    if (next) this.#open().then(next.resolve, next.reject);
  }
}

async function attemptTransaction(c, fn) {
  await c.query('begin');
  try {
    const value = await fn(c);
    const { command } = await c.query('commit');
    if (command !== 'COMMIT') throw new Error('the transaction had failed and was rolled back');
    return value;
  } catch (err) {
    // Where this fails the connection is unusable, and the server rolls back.
    await c.query('rollback').catch(() => {});
    throw err;
  }
}
