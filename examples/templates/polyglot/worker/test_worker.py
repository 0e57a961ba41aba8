import unittest

from worker import count, encode


class WorkerTest(unittest.TestCase):
    def test_counts(self):
        self.assertEqual(count("tea"), 3)
        self.assertEqual(count("Käse"), 4)

    def test_speaks(self):
        self.assertEqual(encode("GET", "ä"), b"*2\r\n$3\r\nGET\r\n$2\r\n\xc3\xa4\r\n")


if __name__ == "__main__":
    unittest.main()
