import io
import json
import unittest
import uuid

from app import application, migrate
from stores import query, redis


def ask(method, path, body=b""):
    seen = {}
    parts = application(
        {"PATH_INFO": path, "REQUEST_METHOD": method, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)},
        lambda status, headers: seen.update(status=status),
    )
    return seen["status"], json.loads(b"".join(parts))


class AppTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        migrate()

    def test_keeps_a_message(self):
        text = f"it's \"{uuid.uuid4()}\"; DROP TABLE messages; --"
        status, made = ask("POST", "/messages", text.encode())
        self.assertEqual((status, made["text"]), ("201 Created", text))
        self.assertEqual(ask("GET", "/")[1]["messages"][0], made)
        query("DELETE FROM messages WHERE id = :'id'::bigint", id=made["id"])

    def test_counts_visits(self):
        before = ask("GET", "/")[1]["visits"]
        self.assertEqual(ask("GET", "/")[1]["visits"], before + 1)
        self.assertEqual(redis("GET", "visits"), str(before + 1))

    def test_refuses(self):
        self.assertEqual(ask("POST", "/messages", b"  ")[0], "400 Bad Request")
        self.assertEqual(ask("POST", "/messages", b"x" * 501)[0], "400 Bad Request")
        self.assertEqual(ask("GET", "/nothing")[0], "404 Not Found")


if __name__ == "__main__":
    unittest.main()
