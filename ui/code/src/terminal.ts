import {
  type ITerminalChildProcess,
  SimpleTerminalBackend,
  SimpleTerminalProcess,
} from "@codingame/monaco-vscode-terminal-service-override";
import { Emitter } from "monaco-editor";
import { Link, type LinkState, type Wire } from "../../src/features/terminal/link";
import type { Remote } from "./remote";

let leaving = false;
addEventListener("pagehide", () => {
  leaving = true;
});

/** A terminal of the session: the same that the session's page and the console show. */
class SessionTerminal extends SimpleTerminalProcess {
  private link: Link | undefined;
  private readonly decoder = new TextDecoder();
  private readonly ended = new Emitter<number | undefined>();
  override onProcessExit = this.ended.event;

  constructor(
    id: number,
    private readonly name: string,
    private readonly remote: Remote,
    folder: string,
    private readonly data: Emitter<string>,
    private cols: number,
    private rows: number,
  ) {
    super(id, id, folder, data.event);
  }

  async start() {
    const address = new URL("/api/shell", location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    this.link = new Link({
      connect: () => new WebSocket(address, "nixspace.exec.v1") as unknown as Wire,
      name: this.name,
      viewer: crypto.randomUUID(),
      readOnly: false,
      size: () => ({ cols: this.cols, rows: this.rows }),
      write: (bytes, done) => {
        this.data.fire(typeof bytes === "string" ? bytes : this.decoder.decode(bytes, { stream: true }));
        done();
      },
      onState: (s) => this.state(s),
      onStatus: () => {},
    });
    return undefined;
  }

  private state(s: LinkState): void {
    if (s.at === "ended") this.ended.fire(s.code);
    if (s.at === "refused") {
      this.data.fire(`\r\n${s.message}\r\n${s.hint}\r\n`);
      this.ended.fire(1);
    }
  }

  // The workbench asks where the shell is, which the agent does not say.
  override refreshProperty = (async (what: string) => (what === "cwd" ? this.cwd : undefined)) as never;

  override shutdown(_immediate: boolean): void {
    this.link?.close();
    // A page that is closed leaves its terminals running, as every other viewer does.
    if (!leaving) void this.remote.request("terminal.close", { name: this.name }).catch(() => {});
    this.ended.fire(undefined);
  }

  override input(data: string): void {
    this.link?.type(data);
  }

  override resize(cols: number, rows: number): void {
    this.cols = cols;
    this.rows = rows;
    this.link?.resize();
  }

  override clearBuffer(): void {}
  override sendSignal(): void {}
}

/** The terminals of the workbench. The first is `code`, which is found again after a reload. */
export class Terminals extends SimpleTerminalBackend {
  private count = 0;
  constructor(
    private readonly remote: Remote,
    private readonly folder: string,
  ) {
    super();
  }

  override getDefaultSystemShell = async () => "bash";

  override createProcess = async (
    _config: unknown,
    cwd: string,
    cols: number,
    rows: number,
  ): Promise<ITerminalChildProcess> => {
    const id = ++this.count;
    const name = id === 1 ? "code" : `code-${id}`;
    return new SessionTerminal(id, name, this.remote, cwd || this.folder, new Emitter<string>(), cols, rows);
  };
}
