import {
  FileChangeType,
  FilePermission,
  FileSystemProviderCapabilities,
  FileSystemProviderError,
  FileSystemProviderErrorCode,
  type FileType,
  type IFileChange,
  type IFileDeleteOptions,
  type IFileOverwriteOptions,
  type IFileSystemProviderWithFileReadWriteCapability,
  type IFileWriteOptions,
  type IStat,
} from "@codingame/monaco-vscode-files-service-override";
import { Emitter, Uri } from "monaco-editor";
import { type Remote, RemoteError } from "./remote";

type URI = Uri;

const codes: Record<string, FileSystemProviderErrorCode> = {
  not_found: FileSystemProviderErrorCode.FileNotFound,
  exists: FileSystemProviderErrorCode.FileExists,
  is_folder: FileSystemProviderErrorCode.FileIsADirectory,
  no_folder: FileSystemProviderErrorCode.FileNotADirectory,
  forbidden: FileSystemProviderErrorCode.NoPermissions,
  too_large: FileSystemProviderErrorCode.FileTooLarge,
  unavailable: FileSystemProviderErrorCode.Unavailable,
};

interface Stat {
  type: FileType;
  size: number;
  mtime: number;
  ctime: number;
  readonly?: boolean;
}

/** The files of the session's machine, as the user dev may use them. */
export class RemoteFiles implements IFileSystemProviderWithFileReadWriteCapability {
  readonly capabilities =
    FileSystemProviderCapabilities.FileReadWrite | FileSystemProviderCapabilities.PathCaseSensitive;
  readonly onDidChangeCapabilities = new Emitter<void>().event; // they never do
  private readonly changed = new Emitter<readonly IFileChange[]>();
  readonly onDidChangeFile = this.changed.event;

  constructor(private readonly remote: Remote) {
    remote.listen((event, data) => {
      if (event !== "files") return;
      const changes = data as [kind: number, path: string][];
      this.changed.fire(changes.map(([kind, path]) => ({ type: kind as FileChangeType, resource: Uri.file(path) })));
    });
  }

  private async ask<T>(method: string, uri: URI, params: object, o: { body?: Uint8Array; again?: boolean } = {}) {
    try {
      return await this.remote.request<T>(method, { path: uri.path, ...params }, o);
    } catch (e) {
      const code = e instanceof RemoteError ? codes[e.code] : undefined;
      throw FileSystemProviderError.create(
        e instanceof Error ? e.message : String(e),
        code ?? FileSystemProviderErrorCode.Unknown,
      );
    }
  }

  watch() {
    return { dispose() {} }; // the whole folder is watched, see workbench.ts
  }

  async stat(uri: URI): Promise<IStat> {
    const { result: s } = await this.ask<Stat>("stat", uri, {}, { again: true });
    return {
      type: s.type,
      size: s.size,
      mtime: s.mtime,
      ctime: s.ctime,
      permissions: s.readonly ? FilePermission.Readonly : undefined,
    };
  }

  async readdir(uri: URI): Promise<[string, FileType][]> {
    return (await this.ask<[string, FileType][]>("readdir", uri, {}, { again: true })).result;
  }

  async readFile(uri: URI): Promise<Uint8Array> {
    return (await this.ask<null>("read", uri, {}, { again: true })).body;
  }

  async writeFile(uri: URI, content: Uint8Array, o: IFileWriteOptions): Promise<void> {
    await this.ask("write", uri, { create: o.create, overwrite: o.overwrite }, { body: content });
    this.changed.fire([{ type: FileChangeType.UPDATED, resource: uri }]);
  }

  async mkdir(uri: URI): Promise<void> {
    await this.ask("mkdir", uri, {});
    this.changed.fire([{ type: FileChangeType.ADDED, resource: uri }]);
  }

  async delete(uri: URI, o: IFileDeleteOptions): Promise<void> {
    await this.ask("delete", uri, { recursive: o.recursive });
    this.changed.fire([{ type: FileChangeType.DELETED, resource: uri }]);
  }

  async rename(from: URI, to: URI, o: IFileOverwriteOptions): Promise<void> {
    await this.ask("rename", from, { to: to.path, overwrite: o.overwrite });
    this.changed.fire([
      { type: FileChangeType.DELETED, resource: from },
      { type: FileChangeType.ADDED, resource: to },
    ]);
  }
}
