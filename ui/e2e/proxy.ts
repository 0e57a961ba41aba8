import { createServer, request, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";

/** A reverse proxy that has one server below a path, and something else beside it. */
export class ReverseProxy {
  private server: Server | undefined;
  url = "";
  /** What was asked for outside of the path. */
  astray: string[] = [];

  async start(path: string, target: () => URL): Promise<void> {
    const inside = (url = "") => url === path || url.startsWith(`${path}/`);
    this.server = createServer((req, res) => {
      if (!inside(req.url)) {
        this.astray.push(req.url ?? "");
        res.writeHead(404).end("another application");
        return;
      }
      const { hostname, port } = target();
      const onward = request({ hostname, port, path: req.url, method: req.method, headers: req.headers }, (answer) => {
        res.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(res);
      });
      onward.on("error", () => res.destroy());
      req.pipe(onward);
    });
    this.server.on("upgrade", (req, socket, head) => {
      if (!inside(req.url)) {
        this.astray.push(req.url ?? "");
        socket.destroy();
        return;
      }
      const { hostname, port } = target();
      const onward = connect(Number(port), hostname, () => {
        const lines = req.rawHeaders.flatMap((h, i) => (i % 2 ? [] : [`${h}: ${req.rawHeaders[i + 1]}`]));
        onward.write(`${req.method} ${req.url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
        onward.write(head);
        socket.pipe(onward).pipe(socket);
      });
      onward.on("error", () => socket.destroy());
      socket.on("error", () => onward.destroy());
    });
    await new Promise<void>((resolve) => this.server!.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}${path}`;
  }

  stop(): void {
    this.server?.closeAllConnections();
    this.server?.close();
  }
}
