import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { parse } from './redis.js';
import { app } from './server.js';

const server = app();
let base;
before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `http://127.0.0.1:${server.address().port}`;
});
after(() => server.close());

test('reads answers of Redis', () => {
  assert.equal(parse(Buffer.from(':7\r\n')), 7);
  assert.equal(parse(Buffer.from('$3\r\nabc\r\n')), 'abc');
  assert.equal(parse(Buffer.from('$3\r\nab')), undefined);
  assert.equal(parse(Buffer.from('$-1\r\n')), null);
  assert.match(parse(Buffer.from('-ERR no\r\n')).message, /no/);
});

test('the worker counts the letters of a word', async () => {
  const word = 'word' + Math.random().toString(36).slice(2);
  for (let tries = 0; tries < 600; tries++) {
    const { letters } = await (await fetch(`${base}/?word=${word}`)).json();
    if (letters !== null) return assert.equal(Number(letters), word.length);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.fail('the worker has not come to it');
});
