"""PostgreSQL and Redis, which run in the session.

Both are asked with what is there already, so that nothing must be downloaded to
begin with. In its place, once there is a network: pip install psycopg redis
"""
import json
import os
import socket
import subprocess
from urllib.parse import urlsplit


def query(sql, **values):
    """Runs SQL. Values stand in it as :'name', which psql quotes."""
    command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]
    for name, value in values.items():
        command += ["--set", f"{name}={value}"]
    done = subprocess.run(command, input=sql, text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return [json.loads(line) for line in done.stdout.splitlines() if line]


def rows(sql, **values):
    """Runs a query that returns rows, as dictionaries."""
    return query(f"WITH q AS ({sql}) SELECT row_to_json(q) FROM q;", **values)


def redis(*words):
    """Sends one command to Redis and returns the answer."""
    url = urlsplit(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"))
    with socket.create_connection((url.hostname, url.port or 6379), timeout=10) as connection:
        with connection.makefile("rwb") as stream:
            stream.write(b"*%d\r\n" % len(words))
            for word in words:
                data = str(word).encode()
                stream.write(b"$%d\r\n%s\r\n" % (len(data), data))
            stream.flush()
            kind, rest = stream.read(1), stream.readline().strip()
            if kind == b"-":
                raise RuntimeError(rest.decode())
            if kind == b":":
                return int(rest)
            if kind == b"$":
                return None if rest == b"-1" else stream.read(int(rest)).decode()
            return rest.decode()
