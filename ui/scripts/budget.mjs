// Fails when what a browser must fetch before it shows anything has become too
// large: the scripts that the page names, compressed.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const most = 90_000; // bytes, with gzip
const site = new URL("../dist/site", import.meta.url).pathname;
const page = readFileSync(join(site, "index.html"), "utf8");
const scripts = [...page.matchAll(/(?:src|href)="\.\/([^"]+\.js)"/g)].map((m) => m[1]);
const sizes = scripts.map((file) => gzipSync(readFileSync(join(site, file)), { level: 9 }).length);
const total = sizes.reduce((n, s) => n + s, 0);
if (scripts.length < 2) throw new Error("the page names no scripts; has it been built?");
if (total > most) {
  for (const [i, file] of scripts.entries()) console.error(`${sizes[i]}  ${file}`);
  throw new Error(
    `the first scripts have ${total} bytes compressed, of ${most} allowed: load what is not needed at once later`,
  );
}
console.log(`first scripts: ${(total / 1000).toFixed(1)} kB of ${most / 1000} kB, compressed`);
