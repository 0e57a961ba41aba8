import { randomBytes } from 'node:crypto';

import { Pool, parseConfig } from '../pg/index.js';
import { migrate } from '../src/migrate.js';

/** A pool whose connections see a schema of their own, so that runs do not meet. */
export async function temporarySchema({ max = 5, migrated = true } = {}) {
  const schema = `shop_test_${randomBytes(6).toString('hex')}`;
  const pool = new Pool(parseConfig(process.env, { search_path: schema, client_min_messages: 'warning' }), { max });
  await pool.query(`create schema ${schema}`);
  if (migrated) await migrate(pool);
  return {
    pool,
    schema,
    async drop() {
      await pool.query(`drop schema ${schema} cascade`);
      await pool.end();
    },
  };
}
