import { defineConfig } from "vite";

export default defineConfig({
  // The built page works in any folder of any file server.
  base: "./",
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    // The server's crate takes the page in from there, and carries it when it is published.
    outDir: "../native/server/page/dist",
    emptyOutDir: true,
  },
  worker: { format: "es" },
});
