import { defineConfig } from "vite";

export default defineConfig({
  // The built page works in any folder of any file server.
  base: "./",
  build: { target: "es2022", modulePreload: { polyfill: false } },
  worker: { format: "es" },
});
