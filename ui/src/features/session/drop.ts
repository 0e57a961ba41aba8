/** A file that was dropped or chosen, with its path below the folder that it came in. */
export interface Dropped {
  path: string;
  file: File;
}

const filesMax = 20_000;

/** All files of what was dropped, those of folders included. */
export async function dropped(items: DataTransferItemList): Promise<Dropped[]> {
  const entries = [...items].map((i) => i.webkitGetAsEntry()).filter((e) => e !== null);
  const all: Dropped[] = [];
  for (const e of entries) await walk(e, "", all);
  return all;
}

async function walk(entry: FileSystemEntry, before: string, all: Dropped[]): Promise<void> {
  if (all.length >= filesMax) throw new Error(`more than ${filesMax} files at once; use nixspace cp`);
  const path = before + entry.name;
  if (entry.isFile) {
    const file = await new Promise<File>((ok, no) => (entry as FileSystemFileEntry).file(ok, no));
    all.push({ path, file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((ok, no) => reader.readEntries(ok, no));
    if (part.length === 0) return;
    for (const e of part) await walk(e, `${path}/`, all);
  }
}
