import type * as vscode from "vscode";
import { type Change, letters, parseStatus, type RepositoryStatus, words } from "./gitstatus";
import type { Remote } from "./remote";

interface Ran {
  code: number;
  stderr: string;
}

const decoder = new TextDecoder();
const scheme = "git-object";

/** Source control over the machine's own git. */
export class Git {
  private readonly scm: vscode.SourceControl;
  private readonly staged: vscode.SourceControlResourceGroup;
  private readonly working: vscode.SourceControlResourceGroup;
  private readonly objects: vscode.EventEmitter<vscode.Uri>;
  private readonly decorated: vscode.EventEmitter<undefined>;
  private decorations = new Map<string, vscode.FileDecoration>();
  private opened = new Map<string, vscode.Uri>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running = false;
  private again = false;

  private constructor(
    private readonly api: typeof vscode,
    private readonly remote: Remote,
    private readonly root: string,
  ) {
    this.scm = api.scm.createSourceControl("git", "Git", api.Uri.file(root));
    this.scm.inputBox.placeholder = "Message (commits what is staged, or else everything)";
    this.scm.acceptInputCommand = { command: "nixspace.git.commit", title: "Commit" };
    this.scm.quickDiffProvider = {
      provideOriginalResource: (uri) => (uri.scheme === "file" ? this.object(uri, "") : undefined),
    };
    this.staged = this.scm.createResourceGroup("index", "Staged Changes");
    this.staged.hideWhenEmpty = true;
    this.working = this.scm.createResourceGroup("working", "Changes");
    this.objects = new api.EventEmitter();
    this.decorated = new api.EventEmitter();
    api.workspace.registerTextDocumentContentProvider(scheme, {
      onDidChange: this.objects.event,
      provideTextDocumentContent: (uri) => this.show(uri),
    });
    api.window.registerFileDecorationProvider({
      onDidChangeFileDecorations: this.decorated.event,
      provideFileDecoration: (uri) => (uri.scheme === "file" ? this.decorations.get(uri.path) : undefined),
    });
  }

  /** Begins source control, where there is git and a repository. */
  static async begin(api: typeof vscode, remote: Remote, folder: string): Promise<Git | undefined> {
    let root: string;
    try {
      const { result, body } = await remote.request<Ran>(
        "exec",
        { argv: ["git", "rev-parse", "--show-toplevel"], dir: folder },
        { again: true },
      );
      if (result.code !== 0) return undefined;
      root = decoder.decode(body).trim();
    } catch {
      return undefined; // the environment has no git
    }
    const git = new Git(api, remote, root);
    git.commands();
    await git.refresh();
    api.workspace.onDidSaveTextDocument(() => git.soon());
    api.window.onDidChangeWindowState((s) => s.focused && git.soon());
    remote.listen((event) => {
      if (event === "files" || event === "connected") git.soon();
    });
    return git;
  }

  private async run(...argv: string[]): Promise<string> {
    const { result, body } = await this.remote.request<Ran>("exec", { argv: ["git", ...argv], dir: this.root });
    if (result.code !== 0) throw new Error(result.stderr.trim() || `git ${argv[0]} ended with ${result.code}`);
    return decoder.decode(body);
  }

  private object(uri: vscode.Uri, revision: string): vscode.Uri {
    return uri.with({ scheme, query: JSON.stringify({ revision }) });
  }

  /** The text of a file as the index has it, or a revision. */
  private async show(uri: vscode.Uri): Promise<string> {
    this.opened.set(uri.toString(), uri);
    const { revision } = JSON.parse(uri.query) as { revision: string };
    try {
      return await this.run("show", `${revision}:${uri.path.slice(this.root.length + 1)}`);
    } catch {
      return ""; // a file that it does not have yet
    }
  }

  /** Looks again once things have calmed down. */
  soon(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.refresh(), 300);
  }

  async refresh(): Promise<void> {
    if (this.running) {
      this.again = true;
      return;
    }
    this.running = true;
    try {
      do {
        this.again = false;
        const out = await this.run(
          "--no-optional-locks",
          "status",
          "--porcelain=v2",
          "-z",
          "--branch",
          "--untracked-files=all",
        );
        this.show2(parseStatus(out));
      } while (this.again);
    } catch (e) {
      console.warn("git status", e);
    } finally {
      this.running = false;
    }
  }

  private show2(s: RepositoryStatus): void {
    this.staged.resourceStates = s.staged.map((c) => this.state(c, true));
    this.working.resourceStates = s.working.map((c) => this.state(c, false));
    this.scm.count = new Set([...s.staged, ...s.working].map((c) => c.path)).size;
    const sync = s.upstream ? ` ${s.behind}↓ ${s.ahead}↑` : "";
    this.scm.statusBarCommands = [
      {
        command: "nixspace.git.checkout",
        title: `$(git-branch) ${s.branch}${sync}`,
        tooltip: "Switch to another branch",
      },
    ];
    this.decorations = new Map();
    for (const c of [...s.staged, ...s.working]) {
      this.decorations.set(
        `${this.root}/${c.path}`,
        new this.api.FileDecoration(letters[c.kind], words[c.kind], new this.api.ThemeColor(color(c))),
      );
    }
    this.decorated.fire(undefined);
    for (const uri of this.opened.values()) this.objects.fire(uri);
  }

  private state(c: Change, staged: boolean): vscode.SourceControlResourceState {
    const uri = this.api.Uri.file(`${this.root}/${c.path}`);
    return {
      resourceUri: uri,
      contextValue: c.kind,
      decorations: { strikeThrough: c.kind === "deleted", tooltip: words[c.kind], faded: c.kind === "untracked" },
      command: { command: "nixspace.git.open", title: "Open changes", arguments: [uri, c, staged] },
    };
  }

  private async open(uri: vscode.Uri, c: Change, staged: boolean): Promise<void> {
    const name = c.path.split("/").pop();
    if (c.kind === "untracked") {
      await this.api.commands.executeCommand("vscode.open", uri);
      return;
    }
    const before = this.object(c.from ? this.api.Uri.file(`${this.root}/${c.from}`) : uri, staged ? "HEAD" : "");
    const after = staged
      ? this.object(uri, "")
      : c.kind === "deleted"
        ? uri.with({ scheme, query: '{"revision":"none"}' })
        : uri;
    await this.api.commands.executeCommand(
      "vscode.diff",
      before,
      after,
      `${name} (${staged ? "staged" : "working tree"})`,
    );
  }

  private commands(): void {
    const paths = (states: vscode.SourceControlResourceState[]) => states.map((s) => s.resourceUri.path);
    const on = (name: string, f: (...args: never[]) => Promise<unknown>) =>
      this.api.commands.registerCommand(`nixspace.git.${name}`, async (...args: never[]) => {
        try {
          await f(...args);
        } catch (e) {
          void this.api.window.showErrorMessage(e instanceof Error ? e.message : String(e));
        }
        await this.refresh();
      });
    type States = vscode.SourceControlResourceState[];
    on("refresh", async () => {});
    on("open", (uri: vscode.Uri, c: Change, staged: boolean) => this.open(uri, c, staged));
    on("openFile", async (s: States[0]) => this.api.commands.executeCommand("vscode.open", s.resourceUri));
    on("stage", (...s: States) => this.run("add", "-A", "--", ...paths(s)));
    on("unstage", (...s: States) => this.run("reset", "-q", "--", ...paths(s)));
    on("stageAll", () => this.run("add", "-A"));
    on("unstageAll", () => this.run("reset", "-q"));
    on("discard", async (...s: States) => {
      const what = s.length === 1 ? s[0]?.resourceUri.path.split("/").pop() : `${s.length} files`;
      const yes = "Discard";
      if ((await this.api.window.showWarningMessage(`Discard the changes of ${what}?`, { modal: true }, yes)) !== yes)
        return;
      const fresh = s.filter((f) => f.contextValue === "untracked");
      const known = s.filter((f) => f.contextValue !== "untracked");
      if (fresh.length) await this.run("clean", "-f", "-q", "--", ...paths(fresh));
      if (known.length) await this.run("checkout", "-q", "--", ...paths(known));
    });
    on("commit", async () => {
      const message = this.scm.inputBox.value.trim();
      if (!message) throw new Error("A commit needs a message: write it above.");
      if (this.staged.resourceStates.length === 0) await this.run("add", "-A");
      await this.run("commit", "-q", "-m", message);
      this.scm.inputBox.value = "";
    });
    on("checkout", async () => {
      const out = await this.run(
        "for-each-ref",
        "--sort=-committerdate",
        "--format=%(refname:short)",
        "refs/heads",
        "refs/remotes",
      );
      const branch = await this.api.window.showQuickPick(
        out.split("\n").filter((b) => b && !b.endsWith("/HEAD")),
        {
          placeHolder: "The branch to switch to",
        },
      );
      if (branch) await this.run("switch", "-q", branch.replace(/^origin\//, ""));
    });
    on("pull", () => this.run("pull", "-q", "--ff-only"));
    on("push", () => this.run("push", "-q"));
  }
}

function color(c: Change): string {
  switch (c.kind) {
    case "untracked":
      return "gitDecoration.untrackedResourceForeground";
    case "added":
      return "gitDecoration.addedResourceForeground";
    case "deleted":
      return "gitDecoration.deletedResourceForeground";
    case "conflict":
      return "gitDecoration.conflictingResourceForeground";
    default:
      return "gitDecoration.modifiedResourceForeground";
  }
}
