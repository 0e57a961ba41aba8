import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { app } from '../app.js';

const server = app();
let base;
before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `http://127.0.0.1:${server.address().port}`;
});
after(() => server.close());

test('says hello', async () => {
  const response = await fetch(`${base}/?name=Ada`);
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), { hello: 'Ada' });
});

test('knows what is not there', async () => {
  assert.equal((await fetch(`${base}/nothing`)).status, 404);
  assert.equal((await fetch(base, { method: 'POST' })).status, 405);
});
