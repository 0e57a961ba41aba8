import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** Serves one git repository over HTTP, as a forge does. */
export class Forge {
  private dir = "";
  private server: Server | undefined;
  url = "";

  /** Makes a repository of the files, and serves it at url. */
  async start(files: Record<string, string>): Promise<void> {
    this.dir = mkdtempSync(join(tmpdir(), "nixspace-forge-"));
    const repo = join(this.dir, "acme/guestbook");
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(repo, path)), { recursive: true });
      writeFileSync(join(repo, path), text);
    }
    const git = (...args: string[]) =>
      execFileSync("git", ["-C", repo, "-c", "user.name=A", "-c", "user.email=a@example.org", ...args], {
        stdio: "ignore",
      });
    git("init", "-q", "-b", "main");
    git("add", ".");
    git("commit", "-qm", "first");
    this.server = createServer((request, response) => {
      const url = new URL(request.url ?? "/", "http://forge");
      const cgi = spawn("git", ["http-backend"], {
        env: {
          ...process.env,
          GIT_PROJECT_ROOT: this.dir,
          GIT_HTTP_EXPORT_ALL: "1",
          GIT_CONFIG_COUNT: "1", // the repository may belong to another user
          GIT_CONFIG_KEY_0: "safe.directory",
          GIT_CONFIG_VALUE_0: "*",
          PATH_INFO: url.pathname,
          QUERY_STRING: url.search.slice(1),
          REQUEST_METHOD: request.method ?? "GET",
          CONTENT_TYPE: request.headers["content-type"] ?? "",
          CONTENT_LENGTH: request.headers["content-length"] ?? "",
          HTTP_CONTENT_ENCODING: String(request.headers["content-encoding"] ?? ""),
          GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
        },
        stdio: ["pipe", "pipe", "ignore"],
      });
      request.pipe(cgi.stdin);
      cgi.stdin.on("error", () => {});
      const parts: Buffer[] = [];
      cgi.stdout.on("data", (b: Buffer) => parts.push(b));
      cgi.on("close", () => {
        const all = Buffer.concat(parts);
        const end = all.indexOf("\r\n\r\n");
        for (const line of all.subarray(0, end).toString().split("\r\n")) {
          const [name, value] = [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()];
          if (name === "Status") response.statusCode = Number.parseInt(value, 10);
          else if (name) response.setHeader(name, value);
        }
        response.end(all.subarray(end + 4));
      });
    });
    await new Promise<void>((resolve) => this.server!.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/acme/guestbook`;
  }

  stop(): void {
    this.server?.close();
    if (this.dir) rmSync(this.dir, { recursive: true, force: true });
  }
}
