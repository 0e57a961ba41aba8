import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { after, before, test } from 'node:test';

import { createShopServer } from '../src/http.js';
import { Shop } from '../src/shop.js';
import { pool } from './database.js';

const logged = [];
const log = (err) => logged.push(err);
const server = createShopServer(new Shop(pool), { log });
const broken = createShopServer({ products: async () => { throw new Error('secret'); } }, { log });
const servers = [server, broken];
const agent = new Agent({ keepAlive: true });
before(() => Promise.all(servers.map((s) => new Promise((resolve) => s.listen(0, '127.0.0.1', resolve)))));
after(() => {
  agent.destroy();
  for (const s of servers) {
    s.close();
    s.closeAllConnections?.();
  }
});

/** Asks the server. (fetch would do, but it takes longer to load than the tests to run.) */
function call(method, path, body, of = server) {
  return new Promise((resolve, reject) => {
    const req = request({ port: of.address().port, host: '127.0.0.1', method, path, agent }, (res) => {
      const chunks = [];
      res.on('data', (chunk) => chunks.push(chunk));
      res.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const json = res.headers['content-type']?.startsWith('application/json');
        resolve({ status: res.statusCode, headers: res.headers, body: json ? JSON.parse(text) : text });
      });
    });
    req.on('error', reject);
    req.end(body === undefined || typeof body === 'string' ? body : JSON.stringify(body));
  });
}

test('from the products to the order', async () => {
  const products = await call('GET', '/api/products?search=tea');
  assert.equal(products.status, 200);
  assert.ok(products.body.length > 2);

  const { stock } = (await call('GET', '/api/products/teapot')).body;
  const cart = await call('POST', '/api/carts');
  assert.equal(cart.status, 201);
  const path = `/api/carts/${cart.body.id}`;
  await call('PUT', `${path}/items/teapot`, { quantity: 2 });
  assert.equal((await call('GET', path)).body.totalCents, 5700);

  const order = await call('POST', `${path}/checkout`, { email: 'a@example.com' });
  assert.equal(order.status, 200);
  assert.deepEqual((await call('GET', `/api/orders/${order.body.id}`)).body, order.body);
  assert.equal((await call('GET', '/api/products/teapot')).body.stock, stock - 2);
});

test('errors', async () => {
  const { body: cart } = await call('POST', '/api/carts');
  for (const [method, path, body, status, code] of [
    ['GET', '/nothing', undefined, 404, 'not_found'],
    ['GET', '/api/products/%', undefined, 400, 'path_invalid'],
    ['GET', '/api/products/spoon', undefined, 404, 'product_unknown'],
    ['DELETE', '/api/carts', undefined, 405, 'method_not_allowed'],
    ['POST', '/', undefined, 405, 'method_not_allowed'],
    ['PUT', `/api/carts/${cart.id}/items/cup`, '{', 400, 'json_invalid'],
    ['PUT', `/api/carts/${cart.id}/items/cup`, '[]', 400, 'json_invalid'],
    ['PUT', `/api/carts/${cart.id}/items/cup`, {}, 400, 'quantity_invalid'],
    ['PUT', `/api/carts/${cart.id}/items/cup`, 'x'.repeat(70_000), 413, 'body_too_large'],
    ['POST', `/api/carts/${cart.id}/checkout`, { email: 'a@example.com' }, 409, 'cart_empty'],
  ]) {
    const response = await call(method, path, body);
    assert.deepEqual([response.status, response.body.error.code], [status, code], `${method} ${path}`);
  }
  assert.deepEqual(logged, []);
});

test('health, and its loss', async () => {
  const { status, body } = await call('GET', '/healthz');
  assert.equal(status, 200);
  assert.match(body.postgresql, /^\d+/);

  const response = await call('GET', '/api/products', undefined, broken);
  assert.equal(response.status, 500);
  assert.equal(response.body.error.code, 'internal');
  assert.doesNotMatch(JSON.stringify(response.body), /secret/);
  assert.equal(logged.pop().message, 'secret');
});

test('the page', async () => {
  const page = await call('GET', '/');
  assert.equal(page.status, 200);
  assert.match(page.body, /<title>Tea shop<\/title>/);
  assert.match(page.headers['content-security-policy'], /self/);
  for (const path of ['/shop.js', '/shop.css']) assert.equal((await call('GET', path)).status, 200);
  assert.equal((await call('GET', '/../server.js')).status, 404);
});
