import os
from wsgiref.simple_server import make_server

from app import application, migrate

host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000"))
migrate()
print(f"http://{host}:{port}", flush=True)
make_server(host, port, application).serve_forever()
