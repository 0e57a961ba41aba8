// A small PostgreSQL client without dependencies.

export { Connection } from './connection.js';
export { ConnectionError, DatabaseError } from './errors.js';
export { Pool } from './pool.js';

/**
 * Reads where the database is: from DATABASE_URL, else from PGHOST, PGPORT,
 * PGUSER, PGPASSWORD and PGDATABASE. A host that begins with a slash is the
 * directory of a socket. The settings are given to the server for each session.
 */
export function parseConfig(env = process.env, settings = {}) {
  const found = {
    host: env.PGHOST,
    port: env.PGPORT,
    user: env.PGUSER,
    password: env.PGPASSWORD,
    database: env.PGDATABASE,
  };
  if (env.DATABASE_URL) {
    const url = new URL(env.DATABASE_URL);
    if (url.protocol !== 'postgresql:' && url.protocol !== 'postgres:') {
      throw new Error(`DATABASE_URL must begin with postgresql://, not ${url.protocol}//`);
    }
    const given = {
      host: url.searchParams.get('host') || url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port,
      user: url.username,
      password: url.password,
      database: url.pathname.slice(1),
    };
    for (const [key, value] of Object.entries(given)) {
      if (value) found[key] = decodeURIComponent(value);
    }
  }
  const user = found.user || env.USER || 'postgres';
  const port = Number(found.port || 5432);
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new Error(`${found.port} is no port`);
  }
  return {
    host: found.host || '127.0.0.1',
    port,
    user,
    password: found.password,
    database: found.database || user,
    settings: { application_name: 'shop', ...settings },
    timeout: 60_000,
  };
}
