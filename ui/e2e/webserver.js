// What a session serves in the tests: a page, a WebSocket that echoes, and cookies
// that it has no right to set.
const http = require("node:http");
const crypto = require("node:crypto");

const page = (cookies) => `<!doctype html><title>served</title><h1>hello from the session</h1>
<p id="socket">no socket</p><p id="cookies">${cookies}</p>
<script>
document.cookie = "evil2=1; domain=localhost";
const w = new WebSocket("ws://" + location.host + "/");
w.onopen = () => w.send("ping");
w.onmessage = (e) => { document.getElementById("socket").textContent = "the socket says " + e.data; };
</script>`;

const server = http.createServer((request, response) => {
  response.setHeader("Content-Type", "text/html; charset=utf-8");
  response.setHeader("Set-Cookie", ["own=1", "evil=1; Domain=localhost", "nixspace-x=1"]);
  response.end(page(request.headers.cookie ?? "none"));
});

server.on("upgrade", (request, socket) => {
  const key = `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = crypto.createHash("sha1").update(key).digest("base64");
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" +
      `Connection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  socket.on("data", (b) => {
    if ((b[0] & 15) !== 1) return socket.end();
    const mask = b.subarray(2, 6);
    const text = Buffer.from(b.subarray(6, 6 + (b[1] & 127))).map((c, i) => c ^ mask[i % 4]);
    const answer = Buffer.from(`echo ${text}`);
    socket.write(Buffer.concat([Buffer.from([0x81, answer.length]), answer]));
  });
  socket.on("error", () => {});
});

server.listen(3000, "127.0.0.1");
