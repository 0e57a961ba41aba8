import type * as vscode from "vscode";
import type { Remote } from "./remote";

/** A line of a file that the machine found. Columns count UTF-16 units, from 0. */
interface Found {
  path: string;
  line: number;
  text: string;
  ranges: [from: number, to: number][];
}

const filesMax = 20_000;

function abortOn(token: vscode.CancellationToken): AbortSignal {
  const c = new AbortController();
  token.onCancellationRequested(() => c.abort());
  if (token.isCancellationRequested) c.abort();
  return c.signal;
}

/** The patterns that exclude files, as plain text. */
function globs(patterns: readonly vscode.GlobPattern[]): string[] {
  return patterns.map((p) => (typeof p === "string" ? p : p.pattern));
}

/** Search in the session's machine: text, and files by name. */
export function provideSearch(api: typeof vscode, remote: Remote): void {
  api.workspace.registerFileSearchProvider2("file", {
    async provideFileSearchResults(pattern, options, token) {
      const found: vscode.Uri[] = [];
      for (const f of options.folderOptions) {
        const { result } = await remote.request<string[]>(
          "find",
          {
            path: f.folder.path,
            pattern,
            include: globs(f.includes),
            exclude: globs(f.excludes),
            ignored: !f.useIgnoreFiles.local,
            max: options.maxResults ?? filesMax,
          },
          { again: true, signal: abortOn(token) },
        );
        found.push(...result.map((p) => api.Uri.joinPath(f.folder, p)));
      }
      return found;
    },
  });
  api.workspace.registerTextSearchProvider2("file", {
    async provideTextSearchResults(query, options, progress, token) {
      let limitHit = false;
      for (const f of options.folderOptions) {
        const { result } = await remote.request<{ limit: boolean }>(
          "search",
          {
            path: f.folder.path,
            pattern: query.pattern,
            regexp: query.isRegExp ?? false,
            case: query.isCaseSensitive ?? false,
            word: query.isWordMatch ?? false,
            include: globs(f.includes),
            exclude: globs(f.excludes),
            ignored: !f.useIgnoreFiles.local,
            max: options.maxResults,
          },
          {
            signal: abortOn(token),
            part: (part) => {
              for (const m of part as Found[]) {
                const ranges = m.ranges.map(([from, to]) => ({
                  sourceRange: new api.Range(m.line, from, m.line, to),
                  previewRange: new api.Range(0, from, 0, to),
                }));
                progress.report(new api.TextSearchMatch2(api.Uri.joinPath(f.folder, m.path), ranges, m.text));
              }
            },
          },
        );
        limitHit ||= result.limit;
      }
      return { limitHit };
    },
  });
}
