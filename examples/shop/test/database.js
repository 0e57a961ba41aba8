import { randomBytes } from 'node:crypto';
import { after } from 'node:test';

import { Pool, parseConfig } from '../pg/index.js';
import { migrate } from '../src/migrate.js';

/** A pool whose connections see a new schema of their own. */
export async function temporarySchema() {
  const schema = `shop_test_${randomBytes(6).toString('hex')}`;
  const pool = new Pool(parseConfig(process.env, { search_path: schema, client_min_messages: 'warning' }), { max: 3 });
  await pool.query(`create schema ${schema}`);
  return {
    pool,
    async drop() {
      await pool.query(`drop schema ${schema} cascade`);
      await pool.end();
    },
  };
}

// The shop's schema of this run. All tests share it, since they run one after the
// other and making one takes longer than most of them.
const shared = await temporarySchema();
export const { pool } = shared;
await migrate(pool);
after(() => shared.drop());
