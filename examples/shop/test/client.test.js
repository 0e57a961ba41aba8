import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';

import { Connection, ConnectionError, DatabaseError, Pool, parseConfig } from '../pg/index.js';
import { Decoder } from '../pg/protocol.js';
import { pool } from './database.js';

test('values come back as they went', async () => {
  const at = new Date('2024-02-29T12:34:56.789Z');
  const { rows, rowCount, command } = await pool.query(
    `select $1::text as text, $2::int as int, $3::int8 as big, $4::bool as yes, $5::jsonb as json, $6::timestamptz as at,
            $7::bytea as bytes, $8::float8 as float, $9::text as nothing, $10::numeric as exact, $3::int8 * 10 as bigger`,
    ['it\'s "äöü" 🫖\\', -42, 9007199254740991, true, { a: [1, null, 'x'] }, at, Buffer.from([0, 1, 255]), 1.5, null, '1.10'],
  );
  assert.deepEqual(rows, [
    {
      text: 'it\'s "äöü" 🫖\\', int: -42, big: 9007199254740991, yes: true, json: { a: [1, null, 'x'] }, at,
      bytes: Buffer.from([0, 1, 255]), float: 1.5, nothing: null, exact: '1.10', bigger: 90071992547409910n,
    },
  ]);
  assert.equal(rowCount, 1);
  assert.equal(command, 'SELECT');
});

test('several statements, and none', async () => {
  const last = await pool.query('create table t (n int); insert into t values (1), (2); select n from t order by n');
  assert.deepEqual(last.rows, [{ n: 1 }, { n: 2 }]);
  const updated = await pool.query('update t set n = n + $1 where n > $2', [10, 1]);
  assert.equal(updated.rowCount, 1);
  assert.deepEqual((await pool.query('')).rows, []);
});

test('large rows arrive in pieces', async () => {
  const { rows } = await pool.query('select repeat($1, 50000) as long from generate_series(1, 5)', ['é']);
  assert.equal(rows.length, 5);
  assert.ok(rows.every((r) => r.long === 'é'.repeat(50000)));
});

test('errors of the server', async () => {
  const err = await pool.query('select * from nowhere', []).catch((e) => e);
  assert.ok(err instanceof DatabaseError);
  assert.equal(err.code, '42P01');
  assert.equal(err.position, 15);
  await pool.use(async (c) => {
    await assert.rejects(c.query('select 1/$1::int', [0]), { code: '22012' });
    await assert.rejects(c.query("select 1; select 'x'::int"), { code: '22P02' });
    await assert.rejects(c.query('copy (select 1) to stdout; copy t from stdin'), { code: '57014' });
    await assert.rejects(c.query('select $1', ['a\0b']), { code: '22021' });
    await assert.rejects(c.query('select 1 \0'), /zero byte/);
    assert.deepEqual((await c.query('select 1 as one', [])).rows, [{ one: 1 }]);
  });
});

test('queries of one connection run in order', async () => {
  await pool.use(async (c) => {
    const results = await Promise.all([1, 2, 3].map((n) => c.query('select $1::int as n', [n])));
    assert.deepEqual(results.map((r) => r.rows[0].n), [1, 2, 3]);
  });
});

test('transactions', async () => {
  await pool.query('create table money (id int primary key, cents int check (cents >= 0)); insert into money values (1, 100), (2, 0)');
  const move = (cents) =>
    pool.transaction(async (c) => {
      await c.query('update money set cents = cents + $1 where id = 2', [cents]);
      await c.query('update money set cents = cents - $1 where id = 1', [cents]);
      return cents;
    });
  assert.equal(await move(60), 60);
  await assert.rejects(move(60), { code: '23514' });
  const { rows } = await pool.query('select cents from money order by id');
  assert.deepEqual(rows, [{ cents: 40 }, { cents: 60 }]);
  await assert.rejects(
    pool.transaction((c) => c.query('select 1/0').catch(() => 'ignored')),
    /rolled back/,
  );
});

test('a transaction that collides is tried again', async () => {
  let attempts = 0;
  await pool.query('create table counter (n int); insert into counter values (0)');
  const increment = () =>
    pool.transaction(async (c) => {
      attempts++;
      await c.query('set transaction isolation level serializable');
      const { rows } = await c.query('select n from counter');
      await c.query('update counter set n = $1', [rows[0].n + 1]);
    });
  await Promise.all([increment(), increment()]);
  assert.deepEqual((await pool.query('select n from counter')).rows, [{ n: 2 }]);
  assert.ok(attempts >= 2);
});

test('the pool shares its connections, and replaces one that died', async () => {
  const small = new Pool(parseConfig(), { max: 2 });
  const pid = async (c) => (await c.query('select pg_backend_pid() as pid', [])).rows[0].pid;
  const pids = await Promise.all(Array.from({ length: 6 }, () => small.use(pid)));
  assert.ok(new Set(pids).size <= 2);
  // One is ended by the server while it is in use.
  await assert.rejects(small.use(async (c) => {
    await pool.query('select pg_terminate_backend($1)', [await pid(c)]);
    await c.query('select pg_sleep(60)', []);
  }), (err) => err instanceof ConnectionError || err.code === '57P01');
  assert.equal((await small.query('select 1 as n', [])).rows[0].n, 1);
  await small.end();
  await assert.rejects(small.query('select 1'), ConnectionError);
});

test('closing waits for what was asked', async () => {
  const c = await Connection.connect(parseConfig());
  const answer = c.query('select 7 as n', []);
  await c.close();
  assert.equal((await answer).rows[0].n, 7);
  assert.ok(!c.usable);
  await assert.rejects(c.query('select 1'), ConnectionError);
});

test('connections that fail say why', async () => {
  await assert.rejects(Connection.connect({ ...parseConfig(), host: '/nowhere' }), ConnectionError);
  await assert.rejects(Connection.connect({ ...parseConfig(), database: 'no_such_database' }), { code: '3D000' });

  const answers = [
    [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), /broke the protocol/],
    [Buffer.from('R\0\0\0\x08\0\0\0\x07'), /password|kind 7/],
    [Buffer.alloc(0), /closed the connection/],
  ];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(answers[0][0]));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  while (answers.length) {
    await assert.rejects(Connection.connect({ ...parseConfig({ PGHOST: '127.0.0.1', PGPORT: String(port) }) }), answers[0][1]);
    answers.shift();
  }
  server.close();
});

test('messages are cut from any pieces', () => {
  const data = Buffer.from('Z\0\0\0\x05IS\0\0\0\x0ca\0b\0c\0d\0');
  for (let size = 1; size <= data.length; size++) {
    const decoder = new Decoder();
    const types = [];
    for (let at = 0; at < data.length; at += size) {
      types.push(...decoder.push(data.subarray(at, at + size)).map((m) => m.type));
    }
    assert.deepEqual(types, ['Z', 'S']);
  }
  assert.throws(() => new Decoder().push(Buffer.from('Z\xff\xff\xff\xff', 'latin1')), /message of/);
});

test('where the database is', () => {
  const { timeout, settings, ...url } = parseConfig({ DATABASE_URL: 'postgresql://a:p%40ss@[::1]:5433/shop', PGHOST: 'other' });
  assert.deepEqual(url, { host: '::1', port: 5433, user: 'a', password: 'p@ss', database: 'shop' });
  assert.equal(settings.application_name, 'shop');
  assert.equal(parseConfig({ DATABASE_URL: 'postgresql://dev@localhost/shop?host=/run/postgresql' }).host, '/run/postgresql');
  assert.equal(parseConfig({ PGHOST: '/run/postgresql', PGUSER: 'dev' }).database, 'dev');
  assert.throws(() => parseConfig({ DATABASE_URL: 'mysql://x/y' }), /postgresql/);
  assert.throws(() => parseConfig({ PGPORT: 'x' }), /no port/);
});
