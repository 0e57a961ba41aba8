import { createServer } from 'node:http';

/** The application, not listening yet. */
export function app() {
  return createServer((request, response) => {
    const url = new URL(request.url, 'http://localhost');
    if (request.method !== 'GET') return answer(response, 405, { error: 'only GET is understood' });
    if (url.pathname === '/') return answer(response, 200, { hello: url.searchParams.get('name') || 'world' });
    if (url.pathname === '/healthz') return answer(response, 200, { ok: true });
    answer(response, 404, { error: 'there is nothing here' });
  });
}

function answer(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(body) + '\n');
}
