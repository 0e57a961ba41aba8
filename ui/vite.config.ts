import solid from "vite-plugin-solid";
import { defineConfig } from "vitest/config";

// The address of a server to develop against: NIXSPACE_URL=… npm run dev.
const server = process.env.NIXSPACE_URL ?? "http://127.0.0.1:7070";

export default defineConfig({
  plugins: [solid()],
  base: "./", // wherever a proxy puts it
  build: {
    outDir: "dist/site",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // a font in a stylesheet would break the policy
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 500, // xterm is one piece, loaded with the first terminal
  },
  server: {
    proxy: {
      "/graphql": { target: server, ws: true },
      "/api": { target: server, ws: true },
    },
  },
  test: { environment: "node", pool: "threads", include: ["src/**/*.test.{ts,tsx}", "code/src/**/*.test.ts"] },
});
