// Writes src/api/types.ts: the types of every GraphQL document in the sources,
// made from the schema of the API. A document that the schema does not allow ends
// it with an error.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { codegen } from "@graphql-codegen/core";
import * as operations from "@graphql-codegen/typescript-operations";
import { concatAST, parse } from "graphql";

const ui = new URL("..", import.meta.url).pathname;
const files = (dir, pattern) =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((e) => e.isFile() && pattern.test(e.name))
    .map((e) => join(e.parentPath, e.name))
    .sort();

const schema = concatAST(
  files(join(ui, "../api/graph/schema"), /\.graphqls$/).map((file) => parse(readFileSync(file, "utf8"))),
);
const documents = files(join(ui, "src"), /\.tsx?$/).flatMap((location) =>
  [...readFileSync(location, "utf8").matchAll(/\/\* GraphQL \*\/ `([^`]*)`/g)].map((m) => ({
    location,
    document: parse(m[1]),
  })),
);

const scalars = { Time: "string", Int64: "number", JSONObject: "Record<string, unknown>", ID: "string" };
const config = {
  scalars,
  enumsAsTypes: true,
  skipTypename: true,
  avoidOptionals: { field: true, inputValue: false, object: true, defaultValue: false },
  dedupeFragments: true,
};
const text = await codegen({
  filename: "types.ts",
  schema,
  documents,
  config,
  plugins: [{ operations: config }],
  pluginMap: { operations },
});
writeFileSync(join(ui, "src/api/types.ts"), `// Made by scripts/codegen.mjs from the schema of the API.\n${text}\n`);
