import assert from 'node:assert/strict';
import { test } from 'node:test';

import { migrate } from '../src/migrate.js';
import { Shop } from '../src/shop.js';
import { migrations, pool } from './database.js';

const EMAIL = 'customer@example.com';
const shop = new Shop(pool);

async function cartOf(items) {
  const { id } = await shop.createCart();
  for (const [sku, quantity] of Object.entries(items)) await shop.setQuantity(id, sku, quantity);
  return id;
}

const stockOf = async (sku) => (await shop.product(sku)).stock;

test('migrations run once, also at the same time', async () => {
  assert.deepEqual(migrations.map((names) => names.length).sort(), [0, 2]);
  assert.deepEqual(await migrate(pool), []);
  const { rows } = await pool.query('select name from migrations order by name');
  assert.deepEqual(rows, [{ name: '001_shop.sql' }, { name: '002_products.sql' }]);
});

test('products', async () => {
  const all = await shop.products();
  assert.deepEqual(all.map((p) => p.name), ['Cup', 'Darjeeling', 'Kettle', 'Sencha', 'Tea strainer', 'Teapot']);
  assert.deepEqual((await shop.products(' BLACK tea')).map((p) => p.sku), ['darjeeling']);
  assert.deepEqual(await shop.products("%' or true --"), []);
  assert.equal((await shop.product('kettle')).priceCents, 3490);
  await assert.rejects(shop.product('spoon'), { code: 'product_unknown' });
});

test('carts', async () => {
  const id = await cartOf({ cup: 2, kettle: 1 });
  await shop.setQuantity(id, 'cup', 4);
  const cart = await shop.setQuantity(id, 'kettle', 0);
  assert.deepEqual(cart, {
    id, orderId: null, items: [{ sku: 'cup', name: 'Cup', priceCents: 790, quantity: 4 }], totalCents: 3160,
  });
  for (const quantity of [-1, 101, 1.5, '2', undefined]) {
    await assert.rejects(shop.setQuantity(id, 'cup', quantity), { code: 'quantity_invalid' });
  }
  await assert.rejects(shop.setQuantity(id, 'spoon', 1), { code: 'product_unknown' });
  await assert.rejects(shop.cart('00000000-0000-0000-0000-000000000000'), { code: 'cart_unknown' });
  await assert.rejects(shop.cart("' or true"), { code: 'cart_unknown' });
});

test('check-out', async () => {
  const before = await stockOf('sencha');
  const id = await cartOf({ sencha: 3, teapot: 1 });
  const order = await shop.checkout(id, EMAIL);
  assert.equal(order.totalCents, 3 * 990 + 2850);
  assert.deepEqual(order.items.map((i) => [i.sku, i.quantity]), [['sencha', 3], ['teapot', 1]]);
  assert.ok(Math.abs(Date.now() - order.createdAt) < 3600_000);
  assert.equal(await stockOf('sencha'), before - 3);

  // Once is enough.
  assert.deepEqual(await shop.checkout(id, 'other@example.com'), order);
  assert.equal(await stockOf('sencha'), before - 3);
  assert.equal((await shop.cart(id)).orderId, order.id);
  await assert.rejects(shop.setQuantity(id, 'sencha', 1), { code: 'cart_ordered' });

  // Later prices do not change it.
  await pool.query("update products set price_cents = 1, name = 'Bancha' where sku = 'sencha'");
  assert.deepEqual(await shop.order(order.id), order);
});

test('check-out of what cannot be', async () => {
  await assert.rejects(shop.checkout(await cartOf({}), EMAIL), { code: 'cart_empty' });
  await assert.rejects(shop.checkout(await cartOf({ cup: 1 }), 'nobody'), { code: 'email_invalid' });
  await assert.rejects(shop.order('x'), { code: 'order_unknown' });

  // All or nothing: there are cups, but not so many strainers.
  const cups = await stockOf('cup');
  const id = await cartOf({ cup: 5, strainer: 50 });
  const err = await shop.checkout(id, EMAIL).catch((e) => e);
  assert.equal(err.code, 'out_of_stock');
  assert.deepEqual(err.details.items, [{ sku: 'strainer', wanted: 50, stock: 40 }]);
  assert.equal(await stockOf('cup'), cups);
  assert.equal((await shop.cart(id)).orderId, null);
});

test('nobody buys what somebody else bought at the same time', async () => {
  await pool.query("update products set stock = 1 where sku in ('kettle', 'darjeeling')");
  // In both orders, so that careless locking would dead-lock.
  const carts = await Promise.all([cartOf({ kettle: 1, darjeeling: 1 }), cartOf({ darjeeling: 1, kettle: 1 })]);
  const results = await Promise.allSettled(carts.map((id) => shop.checkout(id, EMAIL)));
  assert.equal(results.filter((r) => r.status === 'fulfilled').length, 1);
  assert.ok(results.every((r) => r.status === 'fulfilled' || r.reason.code === 'out_of_stock'));
  assert.equal(await stockOf('kettle'), 0);
  assert.equal(await stockOf('darjeeling'), 0);
});

test('one cart that is checked out twice at the same time is one order', async () => {
  const id = await cartOf({ cup: 1 });
  const [a, b] = await Promise.all([shop.checkout(id, EMAIL), shop.checkout(id, EMAIL)]);
  assert.equal(a.id, b.id);
});
