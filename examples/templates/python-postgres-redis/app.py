"""A guest book: messages in PostgreSQL, visits counted in Redis."""
import json

from stores import query, redis, rows

LONGEST = 500


def migrate():
    query(
        """SET client_min_messages = warning;
        CREATE TABLE IF NOT EXISTS messages (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            text text NOT NULL CHECK (length(text) BETWEEN 1 AND 500),
            at timestamptz NOT NULL DEFAULT now()
        );"""
    )


def application(environ, start_response):
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    if path == "/messages" and method == "POST":
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > 4 * LONGEST:
            return answer(start_response, "413 Content Too Large", {"error": "the message is too long"})
        text = environ["wsgi.input"].read(length).decode("utf-8", "replace").strip()
        if not text or len(text) > LONGEST:
            return answer(start_response, "400 Bad Request", {"error": "a message has 1 to 500 characters"})
        made = rows("INSERT INTO messages (text) VALUES (:'text') RETURNING id, text", text=text)[0]
        return answer(start_response, "201 Created", made)
    if path == "/" and method == "GET":
        messages = rows("SELECT id, text FROM messages ORDER BY id DESC LIMIT 50")
        return answer(start_response, "200 OK", {"visits": redis("INCR", "visits"), "messages": messages})
    return answer(start_response, "404 Not Found", {"error": "there is nothing here"})


def answer(start_response, status, body):
    data = json.dumps(body).encode() + b"\n"
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]
