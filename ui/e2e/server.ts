import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const root = new URL("../..", import.meta.url).pathname;
const binary = process.env.NIXSPACE_BINARY ?? join(root, "bin/nixspace");

/** A real server with a state directory of its own, on a free port of this machine. */
export class Server {
  state = "";
  url = "";
  private child: ChildProcess | undefined;
  private output: string[] = [];

  constructor(private readonly flags: string[] = []) {}

  /** Starts it and returns once it answers. After a stop it takes the same port again. */
  async start(): Promise<void> {
    this.state ||= mkdtempSync(join(tmpdir(), "nixspace-e2e-"));
    const listen = this.url ? new URL(this.url).host : "127.0.0.1:0";
    const child = spawn(binary, ["up", "--state", this.state, "--no-quickstart", "--listen", listen, ...this.flags], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    await new Promise<void>((resolve, reject) => {
      child.once("exit", (code) => reject(new Error(`the server ended with ${code}:\n${this.output.join("\n")}`)));
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on("line", (line) => {
          this.output = [...this.output.slice(-200), line];
          const ready = /NixSpace is ready at (http:\S+)/.exec(line);
          if (!ready) return;
          this.url = ready[1]!;
          resolve();
        });
      }
    });
  }

  /** Stops it as Ctrl-C does, and waits until it is gone. */
  async stop(): Promise<void> {
    const child = this.child;
    this.child = undefined;
    if (!child || child.exitCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    await gone;
  }

  /** Ends it as a power failure would: at once, and with nothing put in order. */
  async kill(): Promise<void> {
    const child = this.child;
    this.child = undefined;
    if (!child || child.exitCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  /** Runs the command line against it and returns what it printed. */
  cli(...args: string[]): string {
    return execFileSync(binary, args, {
      env: { ...process.env, NIXSPACE_STATE: this.state },
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** The same, with something to read. */
  cliWith(input: string, ...args: string[]): string {
    return execFileSync(binary, args, { env: { ...process.env, NIXSPACE_STATE: this.state }, encoding: "utf8", input });
  }

  /** The link that signs a browser in. */
  link(): string {
    return this.cli("web").trim();
  }

  /** Stops it and deletes what it kept. */
  async remove(): Promise<void> {
    await this.stop();
    if (this.state) rmSync(this.state, { recursive: true, force: true });
  }
}

/** A folder of this repository. */
export const folder = (name: string): string => join(root, name);
