import { randomBytes } from 'node:crypto';
import { after } from 'node:test';

import { Pool, parseConfig } from '../pg/index.js';
import { migrate } from '../src/migrate.js';

// The shop's schema of this run. All tests share it, since they run one after the
// other and making one takes longer than most of them.
const schema = `shop_test_${randomBytes(6).toString('hex')}`;

/** A pool whose connections see that schema. */
export const pool = new Pool(parseConfig(process.env, { search_path: schema, client_min_messages: 'warning' }), { max: 3 });
await pool.query(`create schema ${schema}`);
// Two programs that start at the same time bring it up to date.
export const migrations = await Promise.all([migrate(pool), migrate(pool)]);
after(async () => {
  await pool.query(`drop schema ${schema} cascade`);
  await pool.end();
});
