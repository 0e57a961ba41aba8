import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';
import { redis } from './redis.js';

/** The application, not listening yet. */
export function app() {
  return createServer(async (request, response) => {
    const url = new URL(request.url, 'http://localhost');
    const word = url.searchParams.get('word');
    response.setHeader('content-type', 'application/json; charset=utf-8');
    try {
      if (word) await redis('RPUSH', 'words', word.slice(0, 100));
      response.end(JSON.stringify({ waiting: await redis('LLEN', 'words'), letters: word ? await redis('HGET', 'letters', word) : null }) + '\n');
    } catch (error) {
      response.statusCode = 502;
      response.end(JSON.stringify({ error: error.message }) + '\n');
    }
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const port = Number(process.env.PORT || 3000);
  const host = process.env.HOST || '127.0.0.1';
  app().listen(port, host, () => console.log(`http://${host}:${port}`));
}
