import { defineConfig, type Plugin } from "vite";

/**
 * Asks for the broker's worker and its core together with the page's script, and not one after the other when each runs.
 * Both are for a worker, so they are no preloads: a page that does not use those itself is warned.
 */
const brokerFirst: Plugin = {
  name: "broker-first",
  transformIndexHtml: {
    order: "post",
    handler: (_html, { bundle }) => {
      const files = Object.keys(bundle ?? {}).filter((file) => /shared-worker.*\.js$|\.wasm$/.test(file));
      const attrs = (file: string) => ({ rel: "prefetch", href: `./${file}` });
      return files.map((file) => ({ tag: "link", attrs: attrs(file), injectTo: "head" as const }));
    },
  },
};

export default defineConfig({
  // The built page works in any folder of any file server.
  base: "./",
  plugins: [brokerFirst],
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    // The server's crate takes the page in from there, and carries it when it is published.
    outDir: "../native/server/page/dist",
    emptyOutDir: true,
  },
  worker: { format: "es" },
});
