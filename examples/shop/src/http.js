import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';

import { ShopError } from './shop.js';

const MAX_BODY = 64 * 1024;

const files = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/shop.js': ['shop.js', 'text/javascript; charset=utf-8'],
  '/shop.css': ['shop.css', 'text/css; charset=utf-8'],
};

/** The shop's HTTP server: a JSON API below /api, and a page that uses it. */
export function createShopServer(shop, { log = console.error } = {}) {
  const routes = [
    ['GET', /^\/healthz$/, async () => ({ status: 'ok', postgresql: await shop.health() })],
    ['GET', /^\/api\/products$/, ({ query }) => shop.products(query.get('search') ?? '')],
    ['GET', /^\/api\/products\/([^/]+)$/, ({ params: [sku] }) => shop.product(sku)],
    ['POST', /^\/api\/carts$/, () => shop.createCart(), 201],
    ['GET', /^\/api\/carts\/([^/]+)$/, ({ params: [id] }) => shop.cart(id)],
    ['PUT', /^\/api\/carts\/([^/]+)\/items\/([^/]+)$/, ({ params: [id, sku], body }) => shop.setQuantity(id, sku, body.quantity)],
    ['POST', /^\/api\/carts\/([^/]+)\/checkout$/, ({ params: [id], body }) => shop.checkout(id, body.email)],
    ['GET', /^\/api\/orders\/([^/]+)$/, ({ params: [id] }) => shop.order(id)],
  ];

  return createServer(async (req, res) => {
    try {
      const url = new URL(req.url, 'http://shop');
      if (files[url.pathname]) {
        await sendFile(req, res, ...files[url.pathname]);
        return;
      }
      const matching = routes.filter(([, pattern]) => pattern.test(url.pathname));
      if (!matching.length) throw new ShopError(404, 'not_found', `there is nothing at ${url.pathname}`);
      const route = matching.find(([method]) => method === req.method);
      if (!route) {
        res.setHeader('Allow', matching.map(([method]) => method).join(', '));
        throw new ShopError(405, 'method_not_allowed', `${req.method} is not possible at ${url.pathname}`);
      }
      const [method, pattern, handle, status = 200] = route;
      const params = pattern.exec(url.pathname).slice(1).map(decodePart);
      const body = method === 'GET' ? null : await readBody(req);
      send(res, status, await handle({ params, query: url.searchParams, body }));
    } catch (err) {
      sendError(res, err, log);
    }
  });
}

function decodePart(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ShopError(400, 'path_invalid', 'the path is no valid URL');
  }
}

async function readBody(req) {
  const chunks = [];
  let size = 0;
  for await (const chunk of req) {
    size += chunk.length;
    if (size <= MAX_BODY) chunks.push(chunk); // the rest is read all the same: else the answer would not arrive
  }
  if (size > MAX_BODY) throw new ShopError(413, 'body_too_large', `a request has ${MAX_BODY} bytes at most`);
  if (size === 0) return {};
  let body;
  try {
    body = JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new ShopError(400, 'json_invalid', 'the request is no JSON');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new ShopError(400, 'json_invalid', 'the request is no JSON object');
  }
  return body;
}

function send(res, status, value) {
  const data = JSON.stringify(value);
  res.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': Buffer.byteLength(data), 'Cache-Control': 'no-store' });
  res.end(data);
}

function sendError(res, err, log) {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  if (!(err instanceof ShopError)) {
    log(err);
    err = new ShopError(err.name === 'ConnectionError' ? 503 : 500, 'internal', 'something went wrong; try again later');
  }
  send(res, err.status, { error: { code: err.code, message: err.message, ...err.details } });
}

async function sendFile(req, res, name, type) {
  if (req.method !== 'GET' && req.method !== 'HEAD') {
    res.setHeader('Allow', 'GET, HEAD');
    throw new ShopError(405, 'method_not_allowed', `${req.method} is not possible here`);
  }
  const data = await readFile(new URL(`../public/${name}`, import.meta.url));
  res.writeHead(200, {
    'Content-Type': type,
    'Content-Length': data.length,
    'Content-Security-Policy': "default-src 'self'",
    'X-Content-Type-Options': 'nosniff',
  });
  res.end(req.method === 'HEAD' ? undefined : data);
}
