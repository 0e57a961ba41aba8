// Starts the shop. PORT says where (3000), DATABASE_URL or PGHOST and so on which
// database.

import { Pool, parseConfig } from './pg/index.js';
import { createShopServer } from './src/http.js';
import { migrate } from './src/migrate.js';
import { Shop } from './src/shop.js';

const pool = new Pool(parseConfig(), { max: 10 });
const done = await migrate(pool);
if (done.length) console.log(`migrated the database: ${done.join(', ')}`);

const server = createShopServer(new Shop(pool));
server.listen(Number(process.env.PORT ?? 3000), process.env.HOST ?? '127.0.0.1', () => {
  const { address, port } = server.address();
  console.log(`the shop is open at http://${address}:${port}`);
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    server.close(() => pool.end());
    server.closeIdleConnections?.();
  });
}
