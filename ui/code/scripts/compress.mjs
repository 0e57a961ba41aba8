// Puts NAME.gz in the place of each file of the built editor that it makes smaller,
// and takes away what only serves those who develop VS Code: the server, which
// carries all of it, has a third of the size.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const site = new URL("../../dist/code", import.meta.url).pathname;
for (const entry of readdirSync(site, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const file = join(entry.parentPath, entry.name);
  if (/\.map$|^demo-.*\.png$/.test(entry.name)) {
    rmSync(file);
    continue;
  }
  const body = readFileSync(file);
  const packed = gzipSync(body, { level: 9 });
  if (entry.name !== "index.html" && packed.length > body.length * 0.95) continue;
  writeFileSync(`${file}.gz`, packed);
  rmSync(file);
}
