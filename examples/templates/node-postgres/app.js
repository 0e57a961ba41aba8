import { createServer } from 'node:http';
import { query, rows } from './database.js';

/** Makes the table, if it is not there. */
export const migrate = () =>
  query(`SET client_min_messages = warning;
    CREATE TABLE IF NOT EXISTS messages (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      text text NOT NULL CHECK (length(text) BETWEEN 1 AND 500),
      at timestamptz NOT NULL DEFAULT now()
    );`);

export const add = async (text) =>
  (await rows(`INSERT INTO messages (text) VALUES (:'text') RETURNING id, text`, { text }))[0];

export const list = () => rows('SELECT id, text FROM messages ORDER BY id DESC LIMIT 50');

/** The application, not listening yet. */
export function app() {
  return createServer(async (request, response) => {
    try {
      if (request.url === '/messages' && request.method === 'POST') {
        let text = '';
        for await (const chunk of request.setEncoding('utf8')) {
          if ((text += chunk).length > 500) return answer(response, 413, { error: 'the message is too long' });
        }
        if (!text.trim()) return answer(response, 400, { error: 'the message is empty' });
        return answer(response, 201, await add(text.trim()));
      }
      if (request.method !== 'GET') return answer(response, 405, { error: 'that is not understood' });
      if (request.url === '/' || request.url === '/messages') return answer(response, 200, await list());
      answer(response, 404, { error: 'there is nothing here' });
    } catch (error) {
      console.error(error);
      answer(response, 500, { error: 'the database does not answer' });
    }
  });
}

function answer(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(body) + '\n');
}
