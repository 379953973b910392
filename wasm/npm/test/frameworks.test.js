/**
 * Owns that the README's recipes for frameworks and for the edge work as they stand there. It does not know what else
 * these can do.
 */

import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { build } from "esbuild";
import { connect } from "mist-pubsub";
import { WebSocket } from "ws";
import { equal } from "./harness/assert.js";
import { findChromium, openPage, startChromium } from "./harness/chromium.js";
import { block } from "./harness/readme.js";
import { serve } from "./harness/site.js";
import { path } from "../scripts/places.js";

const skip = findChromium() === undefined && "there is no Chromium here; MIST_CHROMIUM can name one";

let folder = "";
/** @type {import("playwright-core").Browser | undefined} */
let browser;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mist-frameworks-"));
  await mkdir(join(folder, "node_modules"));
  await symlink(path("."), join(folder, "node_modules/mist-pubsub"));
  if (!skip) browser = await startChromium();
});

after(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Compiles components as a Svelte project does. @type {import("esbuild").Plugin} */
const SVELTE = {
  name: "svelte",
  setup(build) {
    build.onLoad({ filter: /\.svelte$/ }, async ({ path: file }) => {
      const { compile } = await import(path("test/packages/node_modules/svelte/src/compiler/index.js"));
      return { contents: compile(await readFile(file, "utf8"), { generate: "client" }).js.code };
    });
  },
};

/**
 * Makes one file of a program and what it imports.
 * @param {string} name
 * @param {Readonly<Record<string, string>>} files with the program as `app.js`
 * @param {import("esbuild").BuildOptions} [options]
 */
async function bundle(name, files, options = {}) {
  const root = join(folder, name);
  await mkdir(root);
  for (const [file, content] of Object.entries(files)) await writeFile(join(root, file), content);
  await build({
    entryPoints: [join(root, "app.js")],
    outfile: join(root, "out/bundle.js"),
    bundle: true,
    format: "esm",
    nodePaths: [path("test/packages/node_modules")],
    plugins: [SVELTE],
    define: {
      "process.env.NODE_ENV": '"development"',
      __VUE_OPTIONS_API__: "false",
      __VUE_PROD_DEVTOOLS__: "false",
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false",
    },
    logLevel: "error",
    ...options,
  });
  return join(root, "out");
}

/** What every component is put through: `mount` shows what comes for some tags, and returns what takes it away. */
const DRILL = `
  import { Broker } from "mist-pubsub/inline";
  import { mount } from "./mount.js";
  async function run() {
    const broker = await Broker.create();
    const [reader, writer] = [broker.client(), broker.client()];
    const place = document.body.appendChild(document.createElement("div"));
    const until = async (look) => {
      while (!(await look())) await new Promise((resolve) => setTimeout(resolve, 2));
    };
    const holds = (...sets) => until(async () => JSON.stringify(await reader.list()) === JSON.stringify(sets));
    const shown = [];
    for (const tag of ["a", "b"]) {
      const end = mount(place, reader, [tag]);
      await holds([tag]);
      for (const text of ["1", "2"]) {
        await writer.publish([tag], text, { ack: true });
        await until(() => place.textContent.endsWith(text));
      }
      shown.push(place.textContent);
      end();
      await holds();
    }
    return shown;
  }
  globalThis.outcome = run();`;

/** How a component is mounted, and which of the README's recipes it has. */
const FRAMEWORKS = {
  React: {
    recipe: 'from "react"',
    files: {
      "mount.js": `
        import { StrictMode, createElement, useState } from "react";
        import { createRoot } from "react-dom/client";
        import { useSubscription } from "./recipe.js";
        function Texts({ client, tags }) {
          const [texts, setTexts] = useState([]);
          // It sees the texts of the last time it was rendered.
          useSubscription(client, tags, ({ text }) => setTexts([...texts, text]));
          return texts.join();
        }
        export function mount(place, client, tags) {
          const root = createRoot(place);
          root.render(createElement(StrictMode, null, createElement(Texts, { client, tags })));
          return () => root.unmount();
        }`,
    },
  },
  Vue: {
    recipe: 'from "vue"',
    files: {
      "mount.js": `
        import { createApp, h, ref } from "vue";
        import { useSubscription } from "./recipe.js";
        export function mount(place, client, tags) {
          const app = createApp({
            setup() {
              const texts = ref([]);
              useSubscription(client, tags, ({ text }) => texts.value.push(text));
              return () => h("p", texts.value.join());
            },
          });
          app.mount(place);
          return () => app.unmount();
        }`,
    },
  },
  Svelte: {
    recipe: 'from "svelte"',
    files: {
      "Texts.svelte": `
        <script>
          import { useSubscription } from "./recipe.js";
          let { client, tags } = $props();
          let texts = $state([]);
          useSubscription(client, tags, ({ text }) => texts.push(text));
        </script>
        <p>{texts.join()}</p>`,
      "mount.js": `
        import { mount as show, unmount } from "svelte";
        import Texts from "./Texts.svelte";
        export function mount(target, client, tags) {
          const component = show(Texts, { target, props: { client, tags } });
          return () => unmount(component);
        }`,
    },
  },
};

for (const [name, { recipe, files }] of Object.entries(FRAMEWORKS)) {
  test(`a component of ${name} gets its messages, and leaves no subscription behind`, { skip }, async () => {
    const out = await bundle(name, { "app.js": DRILL, "recipe.js": await block(recipe), ...files });
    await writeFile(join(out, "index.html"), '<link rel="icon" href="data:,"><body><script type="module" src="bundle.js"></script>');
    const site = await serve(out);
    const context = await browser?.newContext();
    try {
      const { page, faults } = await openPage(/** @type {any} */ (context), `${site.url}/index.html`);
      equal(await page.evaluate("outcome"), ["1,2", "1,2"]);
      equal(faults, [], "nothing goes wrong in the page");
    } finally {
      await context?.close();
      await site.close();
    }
  });
}

test("a server renders a component without connecting anywhere, and ends", async () => {
  const app = `
    import { createElement } from "react";
    import { renderToString } from "react-dom/server";
    import { connect } from "mist-pubsub";
    import { useSubscription } from "./recipe.js";
    const client = typeof window === "undefined" ? undefined : connect("wss://localhost");
    function Texts() {
      useSubscription(client, ["a"], () => {});
      return createElement("p", null, "nothing yet");
    }
    console.log(renderToString(createElement(Texts)));`;
  const files = { "app.js": app, "recipe.js": await block('from "react"') };
  const out = await bundle("server", files, { platform: "node", format: "cjs" });
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(out, "bundle.js")]);
  equal([stdout, stderr], ["<p>nothing yet</p>\n", ""]);
});

const WORKERD = path(`test/packages/node_modules/@cloudflare/workerd-${process.platform}-${process.arch === "x64" ? "64" : process.arch}/bin/workerd`);

/** What the runtime is told: the worker, its core, and its rooms. */
const CONFIG = `
  using Workerd = import "/workerd/workerd.capnp";
  const config :Workerd.Config = (
    services = [(name = "main", worker = .worker)],
    sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
  );
  const worker :Workerd.Worker = (
    modules = [
      (name = "worker.js", esModule = embed "bundle.js"),
      (name = "mist-pubsub/mist_bg.wasm", wasm = embed "mist_bg.wasm"),
    ],
    compatibilityDate = "2026-01-01",
    durableObjectNamespaces = [(className = "Room", uniqueKey = "room")],
    durableObjectStorage = (inMemory = void),
    bindings = [(name = "ROOMS", durableObjectNamespace = "Room")],
  );`;

test("rooms at the edge have a broker each", { skip: !existsSync(WORKERD) && "there is no workerd for this machine" }, async () => {
  const out = await bundle("edge", { "app.js": await block("WebSocketPair") }, { external: ["mist-pubsub/mist_bg.wasm"] });
  await copyFile(path("dist/mist_bg.wasm"), join(out, "mist_bg.wasm"));
  await writeFile(join(out, "config.capnp"), CONFIG);
  const runtime = spawn(WORKERD, ["serve", join(out, "config.capnp"), "--control-fd=3"], { stdio: ["ignore", "inherit", "inherit", "pipe"] });
  const ended = new Promise((resolve) => runtime.once("close", resolve));
  try {
    const told = /** @type {import("node:stream").Readable} */ (runtime.stdio[3]);
    let port = 0;
    for await (const line of createInterface(told)) {
      port = JSON.parse(line).port;
      break;
    }
    const join = (/** @type {string} */ room) => connect(`ws://127.0.0.1:${port}/${room}`, { webSocket: WebSocket });
    const [reader, writer, stranger] = [join("one"), join("one"), join("other")];
    /** @type {string[]} */
    const got = [];
    await reader.subscribe(["a"], ({ text }) => void got.push(text)).ready;
    equal(await writer.publish(["a", "b"], "here", { ack: true }), { delivered: 1 });
    equal(await stranger.publish(["a"], "elsewhere", { ack: true }), { delivered: 0 });
    await reader.ping();
    await reader.ping();
    equal(got, ["here"]);
    await reader.close();
    equal(await writer.publish(["a"], "gone", { ack: true }), { delivered: 0 });
    await Promise.all([writer, stranger].map((client) => client.close()));
  } finally {
    runtime.kill();
    await ended;
  }
});
