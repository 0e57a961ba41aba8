import { defineConfig } from "vite";

// The address of a session's editor to develop against:
// NIXSPACE_URL=http://code--1--shop--shop.localhost:7070 npm run dev.
const server = process.env.NIXSPACE_URL;

export default defineConfig({
  build: {
    outDir: "../dist/code",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 20_000, // VS Code is what it is
    reportCompressedSize: false,
  },
  worker: { format: "es" },
  resolve: { dedupe: ["vscode", "monaco-editor"] },
  plugins: [
    {
      // The workbench is fetched at once, and not once the page has read its first lines.
      name: "fetch-early",
      transformIndexHtml: {
        order: "post",
        handler: (_html, { bundle }) =>
          Object.values(bundle ?? {})
            .filter((f) => f.type === "chunk" && f.name === "workbench")
            .map((f) => ({
              tag: "link",
              attrs: { rel: "modulepreload", href: `/${f.fileName}` },
              injectTo: "head" as const,
            })),
      },
    },
    {
      // VS Code puts its styles into the page itself.
      name: "styles-as-text",
      enforce: "pre",
      async resolveId(source, importer, options) {
        if (!source.endsWith(".css")) return undefined;
        const found = await this.resolve(source, importer, { ...options, skipSelf: true });
        return found && /node_modules\/(@codingame\/monaco-vscode|vscode|monaco-editor)/.test(found.id)
          ? { ...found, id: `${found.id}?inline` }
          : undefined;
      },
    },
  ],
  server: server ? { proxy: { "/api": { target: server, ws: true } } } : {},
});
