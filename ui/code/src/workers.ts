/** Takes the place of Worker, so that the build finds the program and nothing is started. */
class Program {
  readonly url: string;
  constructor(
    url: URL,
    readonly options: WorkerOptions,
  ) {
    this.url = url.toString();
  }
}

const Worker = Program;

/** The programs that VS Code runs beside the page, by the names that it asks for. */
export const workers: Record<string, Program> = {
  editorWorkerService: new Worker(new URL("monaco-editor/esm/vs/editor/editor.worker.js", import.meta.url), {
    type: "module",
  }),
  TextMateWorker: new Worker(new URL("@codingame/monaco-vscode-textmate-service-override/worker", import.meta.url), {
    type: "module",
  }),
  OutputLinkDetectionWorker: new Worker(
    new URL("@codingame/monaco-vscode-output-service-override/worker", import.meta.url),
    {
      type: "module",
    },
  ),
  LocalFileSearchWorker: new Worker(
    new URL("@codingame/monaco-vscode-search-service-override/worker", import.meta.url),
    {
      type: "module",
    },
  ),
};
