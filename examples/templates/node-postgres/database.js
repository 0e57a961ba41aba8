import { spawn } from 'node:child_process';

/**
 * Runs SQL and returns its rows as objects. Values are given by name and stand in
 * the SQL as :'name', which psql quotes.
 *
 * It goes through psql, which is there with the server, so that nothing must be
 * downloaded to begin with. In its place, once there is a network: npm install pg
 */
export async function query(sql, values = {}) {
  const variables = Object.entries(values).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
  const psql = spawn('psql', ['--no-psqlrc', '--quiet', '--tuples-only', '--no-align', '--set', 'ON_ERROR_STOP=1', ...variables]);
  let out = '';
  let problem = '';
  psql.stdout.setEncoding('utf8').on('data', (text) => (out += text));
  psql.stderr.setEncoding('utf8').on('data', (text) => (problem += text));
  psql.stdin.on('error', () => {}); // psql ended early, and says why
  psql.stdin.end(sql);
  const code = await new Promise((resolve, reject) => psql.on('close', resolve).on('error', reject));
  if (code !== 0) throw new Error(problem.trim() || `psql ended with ${code}`);
  return out.split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

/** Runs a query that returns rows, as objects. */
export const rows = (sql, values) => query(`WITH q AS (${sql}) SELECT row_to_json(q) FROM q;`, values);
