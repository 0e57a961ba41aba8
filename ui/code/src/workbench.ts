import "vscode/localExtensionHost";
import "./languages";
import getAccessibilityServiceOverride from "@codingame/monaco-vscode-accessibility-service-override";
import { type IWorkbenchConstructionOptions, initialize } from "@codingame/monaco-vscode-api";
import { ExtensionHostKind, registerExtension } from "@codingame/monaco-vscode-api/extensions";
import getConfigurationServiceOverride, {
  initUserConfiguration,
} from "@codingame/monaco-vscode-configuration-service-override";
import getDialogsServiceOverride from "@codingame/monaco-vscode-dialogs-service-override";
import getEnvironmentServiceOverride from "@codingame/monaco-vscode-environment-service-override";
import getExplorerServiceOverride from "@codingame/monaco-vscode-explorer-service-override";
import getExtensionServiceOverride from "@codingame/monaco-vscode-extensions-service-override";
import { createIndexedDBProviders, registerCustomProvider } from "@codingame/monaco-vscode-files-service-override";
import getKeybindingsServiceOverride from "@codingame/monaco-vscode-keybindings-service-override";
import getLanguagesServiceOverride from "@codingame/monaco-vscode-languages-service-override";
import getLifecycleServiceOverride from "@codingame/monaco-vscode-lifecycle-service-override";
import getLogServiceOverride from "@codingame/monaco-vscode-log-service-override";
import getMarkersServiceOverride from "@codingame/monaco-vscode-markers-service-override";
import getModelServiceOverride from "@codingame/monaco-vscode-model-service-override";
import getMultiDiffEditorServiceOverride from "@codingame/monaco-vscode-multi-diff-editor-service-override";
import getNotificationsServiceOverride from "@codingame/monaco-vscode-notifications-service-override";
import getOutlineServiceOverride from "@codingame/monaco-vscode-outline-service-override";
import getOutputServiceOverride from "@codingame/monaco-vscode-output-service-override";
import getPreferencesServiceOverride from "@codingame/monaco-vscode-preferences-service-override";
import getQuickAccessServiceOverride from "@codingame/monaco-vscode-quickaccess-service-override";
import getScmServiceOverride from "@codingame/monaco-vscode-scm-service-override";
import getSearchServiceOverride from "@codingame/monaco-vscode-search-service-override";
import getSecretStorageServiceOverride from "@codingame/monaco-vscode-secret-storage-service-override";
import getSnippetsServiceOverride from "@codingame/monaco-vscode-snippets-service-override";
import getStorageServiceOverride from "@codingame/monaco-vscode-storage-service-override";
import getTerminalServiceOverride from "@codingame/monaco-vscode-terminal-service-override";
import getTextmateServiceOverride from "@codingame/monaco-vscode-textmate-service-override";
import getThemeServiceOverride from "@codingame/monaco-vscode-theme-service-override";
import getBannerServiceOverride from "@codingame/monaco-vscode-view-banner-service-override";
import getStatusBarServiceOverride from "@codingame/monaco-vscode-view-status-bar-service-override";
import getTitleBarServiceOverride from "@codingame/monaco-vscode-view-title-bar-service-override";
import getWorkbenchServiceOverride from "@codingame/monaco-vscode-workbench-service-override";
import getWorkingCopyServiceOverride from "@codingame/monaco-vscode-working-copy-service-override";
import getWorkspaceTrustServiceOverride from "@codingame/monaco-vscode-workspace-trust-service-override";
import { Uri } from "monaco-editor";
import type * as vscode from "vscode";
import { RemoteFiles } from "./files";
import { Git } from "./git";
import { manifest } from "./manifest";
import { placeOf } from "./place";
import type { Hello, Remote } from "./remote";
import { provideSearch } from "./search";
import { settings } from "./settings";
import { Terminals } from "./terminal";
import { workers } from "./workers";

/** Shows the workbench on the session's folder. */
export async function start(remote: Remote, hello: Hello): Promise<void> {
  window.MonacoEnvironment = {
    getWorkerUrl: (_id: string, label: string) => workers[label]?.url ?? "",
    getWorkerOptions: (_id: string, label: string) => workers[label]?.options,
  } as typeof window.MonacoEnvironment;

  await createIndexedDBProviders(); // settings stay in this browser
  // In the place of the files in memory that there are otherwise, and not before them: what the
  // session refuses must never look as if it was saved.
  registerCustomProvider("file", new RemoteFiles(remote));
  await initUserConfiguration(JSON.stringify(settings, null, 2));

  const options: IWorkbenchConstructionOptions = {
    enableWorkspaceTrust: false,
    workspaceProvider: {
      trusted: true,
      workspace: { folderUri: Uri.file(hello.folder) },
      open: async () => false,
    },
    configurationDefaults: { "window.title": `\${dirty}\${activeEditorShort}\${separator}${hello.session}` },
    productConfiguration: {
      nameShort: "NixSpace",
      nameLong: "NixSpace",
      enableTelemetry: false,
    } as IWorkbenchConstructionOptions["productConfiguration"],
  };
  const container = document.createElement("div");
  container.style.height = "100vh";
  document.body.append(container);

  await initialize(
    {
      ...getLogServiceOverride(),
      ...getExtensionServiceOverride({ enableWorkerExtensionHost: false }),
      ...getModelServiceOverride(),
      ...getNotificationsServiceOverride(),
      ...getDialogsServiceOverride(),
      ...getConfigurationServiceOverride(),
      ...getKeybindingsServiceOverride(),
      ...getTextmateServiceOverride(),
      ...getThemeServiceOverride(),
      ...getLanguagesServiceOverride(),
      ...getPreferencesServiceOverride(),
      ...getOutlineServiceOverride(),
      ...getBannerServiceOverride(),
      ...getStatusBarServiceOverride(),
      ...getTitleBarServiceOverride(),
      ...getSnippetsServiceOverride(),
      ...getOutputServiceOverride(),
      ...getTerminalServiceOverride(new Terminals(remote, hello.folder)),
      ...getSearchServiceOverride(),
      ...getMarkersServiceOverride(),
      ...getAccessibilityServiceOverride(),
      ...getStorageServiceOverride({ fallbackOverride: { "workbench.activity.showAccounts": false } }),
      ...getLifecycleServiceOverride(),
      ...getEnvironmentServiceOverride(),
      ...getWorkspaceTrustServiceOverride(),
      ...getWorkingCopyServiceOverride(),
      ...getScmServiceOverride(),
      ...getMultiDiffEditorServiceOverride(),
      ...getExplorerServiceOverride(),
      ...getSecretStorageServiceOverride(),
      ...getWorkbenchServiceOverride(),
      ...getQuickAccessServiceOverride({
        isKeybindingConfigurationVisible: () => true,
        shouldUseGlobalPicker: () => true,
      }),
    },
    container,
    options,
    { userHome: Uri.file("/home/dev") },
  );

  const { getApi } = registerExtension(manifest, ExtensionHostKind.LocalProcess, { system: true });
  const api = await getApi();
  extend(api, remote, hello);
}

/** Adds what is the session's to the workbench. */
function extend(api: typeof vscode, remote: Remote, hello: Hello): void {
  provideSearch(api, remote);
  const state = api.window.createStatusBarItem("nixspace.connection", api.StatusBarAlignment.Left, 1000);
  remote.onState = (connected, reason) => {
    if (connected) {
      state.hide();
      return;
    }
    state.text = "$(sync~spin) Connecting again…";
    state.tooltip = reason || "The connection to the session broke";
    state.backgroundColor = new api.ThemeColor("statusBarItem.warningBackground");
    state.show();
  };
  const name = api.window.createStatusBarItem("nixspace.session", api.StatusBarAlignment.Left, 2000);
  name.text = `$(vm) ${hello.session}`;
  name.tooltip = "Show the session in NixSpace";
  name.command = "nixspace.session";
  name.show();
  const watch = () => void remote.request("watch", { path: hello.folder }).catch((e) => console.warn("watch", e));
  watch();
  remote.listen((event) => {
    if (event === "connected") watch();
  });
  void Git.begin(api, remote, hello.folder);
  const place = placeOf(new URLSearchParams(location.search).get("file") ?? "", hello.folder);
  if (place) {
    const at = new api.Position(place.line, place.column);
    api.window
      .showTextDocument(api.Uri.file(place.path), { preview: false, selection: new api.Range(at, at) })
      .then(undefined, (e) => api.window.showErrorMessage(String(e instanceof Error ? e.message : e)));
    history.replaceState(null, "", location.pathname); // it is not opened again with the page
  }
  api.commands.registerCommand("nixspace.session", () => {
    if (hello.platform) window.open(`${hello.platform}/s/${hello.session}`, "_blank", "noopener");
  });
}
