import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { app, migrate } from '../app.js';
import { query } from '../database.js';

const server = app();
let base;
before(async () => {
  await migrate();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `http://127.0.0.1:${server.address().port}`;
});
after(() => server.close());

test('keeps a message', async () => {
  const text = `it's "${Math.random()}"; DROP TABLE messages; --`;
  const response = await fetch(`${base}/messages`, { method: 'POST', body: text });
  assert.equal(response.status, 201);
  const made = await response.json();
  assert.equal(made.text, text);
  const [first] = await (await fetch(base)).json();
  assert.deepEqual(first, made);
  await query(`DELETE FROM messages WHERE id = :'id'::bigint`, { id: made.id });
});

test('refuses an empty message, and a long one', async () => {
  assert.equal((await fetch(`${base}/messages`, { method: 'POST', body: ' ' })).status, 400);
  assert.equal((await fetch(`${base}/messages`, { method: 'POST', body: 'x'.repeat(501) })).status, 413);
});
