// SCRAM-SHA-256 as PostgreSQL speaks it (RFC 5802, RFC 7677), without channel
// binding.

import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const derive = promisify(pbkdf2);

const hmac = (key, text) => createHmac('sha256', key).update(text).digest();
const hash = (data) => createHash('sha256').update(data).digest();

// A server could ask for so many iterations that the client hangs.
const MAX_ITERATIONS = 1_000_000;

/** One authentication. Each step takes the server's message, if any, and returns the client's. */
export class Scram {
  #password;
  #nonce;
  #first;
  #signature;

  /** Whether both sides know the password. */
  finished = false;

  constructor(password, { user = '', nonce = randomBytes(18).toString('base64') } = {}) {
    this.#password = password.normalize('NFKC');
    this.#nonce = nonce;
    // PostgreSQL takes the name from the start-up message and ignores this one.
    this.#first = `n=${user.replace(/=/g, '=3D').replace(/,/g, '=2C')},r=${nonce}`;
  }

  /** The first message. */
  start() {
    return `n,,${this.#first}`;
  }

  /** Answers the server's challenge with the proof that the password is known. */
  async respond(challenge) {
    const { r: nonce, s: salt, i } = attributes(challenge);
    const iterations = Number(i);
    if (!nonce?.startsWith(this.#nonce) || nonce === this.#nonce) {
      throw new Error('SCRAM: the server answered another nonce');
    }
    if (!salt || !Number.isInteger(iterations) || iterations < 1 || iterations > MAX_ITERATIONS) {
      throw new Error('SCRAM: the server sent an invalid challenge');
    }
    const salted = await derive(this.#password, Buffer.from(salt, 'base64'), iterations, 32, 'sha256');
    const last = `c=biws,r=${nonce}`;
    const message = `${this.#first},${challenge},${last}`;
    const clientKey = hmac(salted, 'Client Key');
    const proof = hmac(hash(clientKey), message).map((byte, at) => byte ^ clientKey[at]);
    this.#signature = hmac(hmac(salted, 'Server Key'), message);
    return `${last},p=${Buffer.from(proof).toString('base64')}`;
  }

  /** Checks that the server knows the password too. */
  finish(message) {
    const signature = Buffer.from(attributes(message).v ?? '', 'base64');
    if (!this.#signature || signature.length !== this.#signature.length || !timingSafeEqual(signature, this.#signature)) {
      throw new Error('SCRAM: the server did not prove that it knows the password');
    }
    this.finished = true;
  }
}

/** Reads "k=value,k=value". */
function attributes(message) {
  return Object.fromEntries(message.split(',').map((part) => [part[0], part.slice(2)]));
}
