import json
import unittest

from app import application


def get(path, query="", method="GET"):
    seen = {}
    body = application(
        {"PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": method},
        lambda status, headers: seen.update(status=status, headers=dict(headers)),
    )
    return seen["status"], json.loads(b"".join(body))


class AppTest(unittest.TestCase):
    def test_says_hello(self):
        self.assertEqual(get("/", "name=Ada"), ("200 OK", {"hello": "Ada"}))
        self.assertEqual(get("/")[1], {"hello": "world"})

    def test_knows_what_is_not_there(self):
        self.assertEqual(get("/nothing")[0], "404 Not Found")
        self.assertEqual(get("/", method="POST")[0], "405 Method Not Allowed")


if __name__ == "__main__":
    unittest.main()
