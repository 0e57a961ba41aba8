"""Takes words from a list in Redis and writes down how many letters they have."""
import os
import socket
from urllib.parse import urlsplit


def count(word):
    return len(word)


class Redis:
    """One connection to Redis."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.stream = socket.create_connection((parts.hostname, parts.port or 6379)).makefile("rwb")

    def ask(self, *words):
        self.stream.write(encode(*words))
        self.stream.flush()
        return self.read()

    def read(self):
        kind, rest = self.stream.read(1), self.stream.readline().strip()
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        if kind == b"$":
            return None if rest == b"-1" else self.stream.read(int(rest) + 2)[:-2].decode()
        return rest.decode()


def encode(*words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


def main():
    redis = Redis(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"))
    print("waiting for words", flush=True)
    while True:
        _, word = redis.ask("BLPOP", "words", 0)
        redis.ask("HSET", "letters", word, count(word))
        print(word, count(word), flush=True)


if __name__ == "__main__":
    main()
