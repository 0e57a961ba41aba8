import { readdir, readFile } from 'node:fs/promises';

const directory = new URL('../migrations/', import.meta.url);

// Any number that no other program uses as an advisory lock in this database.
const LOCK = 7_405_123;

/**
 * Brings the database's schema up to date: runs the files of migrations/ that
 * have not run yet, in order of their names, all of them or none. Several
 * processes may do so at the same time. Returns the names of those that it ran.
 */
export function migrate(pool) {
  return pool.transaction(async (c) => {
    await c.query('select pg_advisory_xact_lock($1)', [LOCK]);
    await c.query('create table if not exists migrations (name text primary key, applied_at timestamptz not null default now())');
    const { rows } = await c.query('select name from migrations');
    const done = new Set(rows.map((r) => r.name));
    const names = (await readdir(directory)).filter((n) => n.endsWith('.sql') && !done.has(n)).sort();
    for (const name of names) {
      await c.query(await readFile(new URL(name, directory), 'utf8'));
      await c.query('insert into migrations (name) values ($1)', [name]);
    }
    return names;
  });
}
