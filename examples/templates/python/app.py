"""The application, as a WSGI callable."""
import json
from urllib.parse import parse_qs


def application(environ, start_response):
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    if method != "GET":
        return answer(start_response, "405 Method Not Allowed", {"error": "only GET is understood"})
    if path == "/":
        name = parse_qs(environ.get("QUERY_STRING", "")).get("name", ["world"])[0]
        return answer(start_response, "200 OK", {"hello": name})
    if path == "/healthz":
        return answer(start_response, "200 OK", {"ok": True})
    return answer(start_response, "404 Not Found", {"error": "there is nothing here"})


def answer(start_response, status, body):
    data = json.dumps(body).encode() + b"\n"
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]
