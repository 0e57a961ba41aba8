import { connect } from 'node:net';

/** Sends one command to Redis and returns the answer: a string, a number or null. */
export function redis(...words) {
  const url = new URL(process.env.REDIS_URL || 'redis://127.0.0.1:6379');
  return new Promise((resolve, reject) => {
    let answer = Buffer.alloc(0);
    const socket = connect(Number(url.port || 6379), url.hostname);
    socket.setTimeout(10_000, () => socket.destroy(new Error('Redis does not answer')));
    socket.on('error', reject);
    socket.on('data', (data) => {
      answer = Buffer.concat([answer, data]);
      const value = parse(answer);
      if (value === undefined) return;
      socket.end();
      value instanceof Error ? reject(value) : resolve(value);
    });
    socket.write(`*${words.length}\r\n` + words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`).join(''));
  });
}

/** Reads an answer; undefined while it is not complete. */
export function parse(answer) {
  const end = answer.indexOf('\r\n');
  if (end < 0) return undefined;
  const rest = answer.subarray(1, end).toString();
  switch (String.fromCharCode(answer[0])) {
    case ':':
      return Number(rest);
    case '-':
      return new Error(rest);
    case '$': {
      const size = Number(rest);
      if (size < 0) return null;
      return answer.length < end + 4 + size ? undefined : answer.subarray(end + 2, end + 2 + size).toString();
    }
    default:
      return rest;
  }
}
