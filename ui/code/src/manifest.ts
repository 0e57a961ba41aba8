import type { IExtensionManifest } from "@codingame/monaco-vscode-api/extensions";

const command = (name: string, title: string, icon?: string) => ({
  command: `nixspace.git.${name}`,
  title,
  category: "Git",
  ...(icon ? { icon: `$(${icon})` } : {}),
});

const at = (name: string, group: string, when = "scmProvider == git") => ({
  command: `nixspace.git.${name}`,
  group,
  when,
});

/** The session's own part of the workbench, as an extension of it. */
export const manifest: IExtensionManifest = {
  name: "session",
  publisher: "nixspace",
  version: "1.0.0",
  engines: { vscode: "*" },
  enabledApiProposals: ["fileSearchProvider2", "textSearchProvider2"],
  contributes: {
    commands: [
      { command: "nixspace.session", title: "Show the session in NixSpace" },
      command("refresh", "Refresh", "refresh"),
      command("commit", "Commit", "check"),
      command("stage", "Stage changes", "add"),
      command("unstage", "Unstage changes", "remove"),
      command("discard", "Discard changes", "discard"),
      command("openFile", "Open file", "go-to-file"),
      command("stageAll", "Stage all changes", "add"),
      command("unstageAll", "Unstage all changes", "remove"),
      command("checkout", "Switch branch…"),
      command("pull", "Pull (fast-forward)"),
      command("push", "Push"),
    ],
    menus: {
      commandPalette: ["stage", "unstage", "discard", "openFile"].map((n) => at(n, "", "false")),
      "scm/title": [
        at("commit", "navigation@1"),
        at("refresh", "navigation@2"),
        at("checkout", "1@1"),
        at("pull", "1@2"),
        at("push", "1@3"),
      ],
      "scm/resourceGroup/context": [
        at("stageAll", "inline", "scmProvider == git && scmResourceGroup == working"),
        at("unstageAll", "inline", "scmProvider == git && scmResourceGroup == index"),
      ],
      "scm/resourceState/context": [
        at("openFile", "inline@1"),
        at("discard", "inline@2", "scmProvider == git && scmResourceGroup == working"),
        at("stage", "inline@3", "scmProvider == git && scmResourceGroup == working"),
        at("unstage", "inline@3", "scmProvider == git && scmResourceGroup == index"),
      ],
    },
  },
} as IExtensionManifest;
