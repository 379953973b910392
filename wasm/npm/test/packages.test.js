/**
 * Owns that what is published works where it is used: packed, installed into fresh projects, built by the bundlers
 * people have, run in Node and in Chromium.
 */

import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build as esbuild, transform } from "esbuild";
import { equal, ok } from "./harness/assert.js";
import { findChromium, openPage, startChromium } from "./harness/chromium.js";
import { block } from "./harness/readme.js";
import { startServer } from "./harness/server.js";
import { serve } from "./harness/site.js";
import { path, tool } from "../scripts/places.js";

const run = promisify(execFile);

const HTML = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">`;
const skip = findChromium() === undefined && "there is no Chromium here; MIST_CHROMIUM can name one";

/** A folder for the projects, which all find the installed package above themselves. */
let folder = "";
let tarball = "";
/** @type {import("playwright-core").Browser | undefined} */
let browser;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mist-packages-"));
  const packed = await npm(["pack", "--json", "--ignore-scripts", "--pack-destination", folder], path("."));
  tarball = join(folder, JSON.parse(packed)[0].filename);
  await writeFile(join(folder, "package.json"), '{ "private": true, "type": "module" }');
  await npm(["install", "--offline", "--no-audit", "--no-fund", "--no-package-lock", tarball], folder);
  if (!skip) browser = await startChromium();
});

after(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

/**
 * @param {string[]} args
 * @param {string} cwd
 */
async function npm(args, cwd) {
  const { stdout } = await run("npm", args, { cwd, shell: process.platform === "win32" });
  return stdout;
}

/**
 * Makes a project with files of these names and contents, and the application.
 * @param {string} name
 * @param {Readonly<Record<string, string>>} [files]
 */
async function project(name, files = {}) {
  const root = join(folder, name);
  await mkdir(root);
  await cp(path("test/packages/app.js"), join(root, "app.js"));
  for (const [file, content] of Object.entries(files)) await writeFile(join(root, file), content);
  return root;
}

/**
 * Claims that the application works in the page at a URL.
 * @param {string} url
 * @param {"worker" | "here"} place where the broker of all tabs is
 */
async function works(url, place = "worker") {
  if (!browser) throw new Error("the browser has not started");
  const context = await browser.newContext();
  try {
    const { page, faults } = await openPage(context, url);
    const outcome = await page.evaluate(() => globalThis.outcome);
    equal(outcome, { alone: "12 min", shared: "12 min", place });
    equal(faults, [], "nothing goes wrong in the page");
  } finally {
    await context.close();
  }
}

/**
 * Claims that the application works when a folder is served.
 * @param {string} root
 * @param {"worker" | "here"} [place]
 * @returns the paths that were asked for
 */
async function worksFrom(root, place) {
  const site = await serve(root);
  try {
    await works(`${site.url}/index.html`, place);
    return site.requests;
  } finally {
    await site.close();
  }
}

test("publint finds nothing to say", async () => {
  await run(process.execPath, [tool("publint"), "run", "--strict", path(".")]);
});

test("the types are right for every way of importing", async () => {
  const wasm = ["--exclude-entrypoints", "./mist_bg.wasm", "./shared-worker.js"];
  // `require` of an ES module is what Node does from 20.19 on.
  await run(process.execPath, [tool("attw"), tarball, "--profile", "esm-only", ...wasm]);
});

/** What every TypeScript application may write. */
const TYPED = `
  import { Broker, MistError, connect, type Client, type Message } from "mist-pubsub";
  import * as inline from "mist-pubsub/inline";
  import * as light from "mist-pubsub/light";
  import { init } from "mist-pubsub/slim";
  const broker: Broker = await Broker.create();
  const clients: Client[] = [connect("ws://localhost"), broker.client()];
  const heard: Message<{ late: number }>[] = [];
  for (const client of clients) {
    const subscription = client.subscribe<{ late: number }>(["bus"], (message) => heard.push(message));
    for await (const message of subscription) message.json().late satisfies number;
    client.subscribe(["bus"], ({ data }) => data.whatever);
    const { delivered } = await client.publish(["bus"], "12 min", { ack: true });
    delivered satisfies number;
    (await client.publisher(["bus"]).publish(12, { ack: true })).delivered satisfies number;
    // @ts-expect-error -- nobody knows without an acknowledgement
    (await client.publish(["bus"])).delivered satisfies number;
    await client.ready.catch((error: unknown) => error instanceof MistError && error.code === "offline");
  }
  const unknown: undefined | string = undefined;
  connect("ws://localhost", { token: unknown, retry: unknown, heartbeatMs: unknown, timeoutMs: unknown, offline: unknown, signal: unknown, webSocket: unknown });
  await Broker.create({ token: unknown, access: unknown, limits: unknown, seed: unknown });
  await init(new URL("https://localhost"));
  export const same: [typeof connect, typeof Broker, typeof connect] = [inline.connect, inline.Broker, light.connect];
  export const isBroker = (value: unknown): Broker | false => value instanceof Broker && value;`;

/** The projects people have: what they compile with, and what only they can write. */
const TYPESCRIPT = [
  {
    name: "in Node, without the types of a page",
    options: { module: "nodenext", lib: ["es2022"], types: ["node"] },
    code: `
      import { MessageChannel } from "node:worker_threads";
      const { port1, port2 } = new MessageChannel();
      broker.attach(port1);
      connect(port2);`,
  },
  {
    name: "in a page with a bundler",
    options: { module: "esnext", moduleResolution: "bundler", lib: ["es2023", "dom"], types: [] },
    code: `
      const { port1, port2 } = new MessageChannel();
      broker.attach(port1);
      connect(port2, { webSocket: WebSocket });
      await init(fetch("mist_bg.wasm"));
      const worker = (name: string) => new SharedWorker("worker.js", { type: "module", name });
      await Broker.shared("board", { worker });`,
  },
  {
    name: "with `using`",
    options: { module: "esnext", moduleResolution: "bundler", lib: ["es2022", "dom", "esnext.disposable"], types: [] },
    code: `
      using client = broker.client();
      client[Symbol.dispose]();
      using bus = client.subscribe(["bus"]);
      export const things: Disposable[] = [broker, bus, await Broker.shared("board")];`,
  },
];

for (const { name, options, code } of TYPESCRIPT) {
  test(`a TypeScript project ${name} compiles against the types alone`, async () => {
    const compilerOptions = {
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: true,
      target: "es2022",
      typeRoots: [path("node_modules/@types")],
      ...options,
    };
    const root = await project(`types-${TYPESCRIPT.findIndex((other) => other.name === name)}`, {
      "tsconfig.json": JSON.stringify({ compilerOptions, files: ["app.ts"] }),
      "app.ts": TYPED + code,
    });
    await run(process.execPath, [tool("tsc"), "--project", root]).catch(({ stdout }) => ok(false, stdout));
  });
}

const IN_NODE = `
  const broker = await Broker.create();
  const [reader, writer] = [broker.client(), broker.client()];
  const subscription = reader.subscribe(["bus"], (message) => { console.log(message.data); broker.close(); });
  await subscription.ready;
  await writer.publish(["late", "bus"], "12 min");`;

test("Node imports it, and requires it", async () => {
  const root = await project("node", {
    "import.mjs": `import { Broker } from "mist-pubsub"; ${IN_NODE}`,
    "require.cjs": `const { Broker } = require("mist-pubsub"); (async () => { ${IN_NODE} })();`,
    "inline.mjs": `import { Broker } from "mist-pubsub/inline"; ${IN_NODE}`,
    "slim.mjs": `
      import { readFileSync } from "node:fs";
      import { createRequire } from "node:module";
      import { Broker, init } from "mist-pubsub/slim";
      await init(readFileSync(createRequire(import.meta.url).resolve("mist-pubsub/mist_bg.wasm"))); ${IN_NODE}`,
  });
  for (const file of ["import.mjs", "require.cjs", "inline.mjs", "slim.mjs"]) {
    const { stdout, stderr } = await run(process.execPath, [join(root, file)]);
    equal([stdout, stderr], ["12 min\n", ""], file);
  }
});

test("where the core cannot be had, everything goes on that needs none, and the rest says so", async () => {
  const root = await project("coreless", {
    "app.mjs": `
      import { Broker, connect, init } from "mist-pubsub/slim";
      ${IN_NODE.replace("broker.close()", "")}
      const { port1, port2 } = new MessageChannel();
      broker.attach(port2);
      await new Promise((resolve) => connect(port1).on("close", resolve));
      const said = (error) => console.log(error.code, error.message);
      await reader.list().catch(said);
      await Broker.create({ token: "t" }).catch(said);
      await init(new Uint8Array([1, 2, 3, 4])).catch((error) => console.log(error.name));
      console.log(await writer.ping() >= 0, broker.stats().sessions);
      await broker.close();`,
  });
  const { stdout, stderr } = await run(process.execPath, [join(root, "app.mjs")]);
  const why = "cannot load mist's core: the core is not loaded: call init() with it first";
  equal(stderr, "");
  equal(stdout.split("\n"), [
    "12 min",
    `connection-lost connection lost before list was answered (${why}); the server may or may not have done it`,
    `unsupported ${why}`,
    "CompileError",
    "true 1",
    "",
  ]);
});

test("Node finds the WebSocket of ws where that is installed, and says what to do where it is not", async () => {
  const server = await startServer();
  const root = await project("found", {
    "app.mjs": `
      import { connect } from "mist-pubsub/light";
      // As in Node before version 22.
      delete globalThis.WebSocket;
      const client = connect(${JSON.stringify(server.ws)});
      await client.ready;
      console.log(client.state);
      await client.close();`,
  });
  try {
    const { stderr } = await run(process.execPath, [join(root, "app.mjs")]).then(() => ok(false, "it connects"), (error) => error);
    ok(/MistError: there is no WebSocket here: install the package ws/.test(stderr), stderr);
    await mkdir(join(root, "node_modules"));
    await cp(path("node_modules/ws"), join(root, "node_modules/ws"), { recursive: true });
    equal((await run(process.execPath, [join(root, "app.mjs")])).stdout, "open\n");
  } finally {
    await server.kill();
  }
});

test("the README's first example runs in Node, and ends", async () => {
  const server = await startServer();
  const example = await block('client.subscribe(["bus", "line:7"]', { "ws://localhost:8888": server.ws });
  const root = await project("example", {
    "app.mjs": example,
  });
  await mkdir(join(root, "node_modules"));
  await cp(path("node_modules/ws"), join(root, "node_modules/ws"), { recursive: true });
  try {
    equal((await run(process.execPath, [join(root, "app.mjs")])).stdout, "open\nclosed\n");
  } finally {
    await server.kill();
  }
});

test("Node shows what threw, and where, in a few lines", async () => {
  const root = await project("thrown", {
    "thrown.mjs": 'import { connect } from "mist-pubsub"; connect("ws://localhost", { heartbeatMs: NaN });',
  });
  const { stderr } = await run(process.execPath, [join(root, "thrown.mjs")]).then(
    () => ok(false, "it does not throw"),
    (error) => error,
  );
  ok(stderr.length < 3000, `${stderr.length} characters`);
  ok(stderr.includes("MistError: heartbeatMs: NaN"), stderr);
  ok(stderr.includes("at settingsOf"), stderr);
});

test("a page without a bundler asks for one script, and its worker for the core", { skip }, async () => {
  const root = await project("plain", {
    "index.html": `${HTML}<script type="importmap">{"imports":{"mist-pubsub":"/mist/page/index.js"}}</script>
      <script type="module" src="/app.js"></script>`,
  });
  await cp(join(folder, "node_modules/mist-pubsub/dist"), join(root, "mist"), { recursive: true });
  const requests = await worksFrom(root);
  const before = requests.slice(0, requests.indexOf("/mist/page/shared-worker.js"));
  equal(before, ["/index.html", "/app.js", "/mist/page/index.js"]);
  ok(requests.includes("/mist/mist_bg.wasm"), requests.join());
});

test("a page without a bundler asks for one script when it wants a client alone", { skip }, async () => {
  const root = await project("light", {
    "index.html": `${HTML}<script type="module" src="/page.js"></script>`,
    "page.js": `
      import { MistError, connect } from "/mist/page/light.js";
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }) => port1.postMessage(data);
      const client = connect(port2);
      globalThis.outcome = client.ready.then(() => client.state);`,
  });
  await cp(join(folder, "node_modules/mist-pubsub/dist"), join(root, "mist"), { recursive: true });
  const site = await serve(root);
  const context = await browser?.newContext();
  if (!context) throw new Error("the browser has not started");
  try {
    const { page, faults } = await openPage(context, site.url);
    equal(await page.evaluate("outcome"), "open");
    equal([faults, site.requests], [[], ["/", "/page.js", "/mist/page/light.js"]]);
  } finally {
    await context.close();
    await site.close();
  }
});

/** How bundlers are asked for one file that has everything an application imports; each returns what is in it. */
const BUNDLERS = {
  esbuild: async (/** @type {string} */ entry) => {
    const { outputFiles } = await esbuild({ entryPoints: [entry], bundle: true, format: "esm", minify: true, write: false });
    return outputFiles[0]?.text ?? "";
  },
  rollup: async (/** @type {string} */ entry) => {
    const [{ rollup }, { default: resolve }] = [await bundler("rollup"), await bundler("@rollup/plugin-node-resolve")];
    const made = await rollup({ input: entry, plugins: [resolve({ browser: true })] });
    const { output } = await made.generate({ format: "esm", compact: true });
    return (await transform(output[0].code, { minify: true })).code;
  },
  vite: async (/** @type {string} */ entry) => {
    const { build } = await bundler("vite");
    const options = { write: false, lib: { entry, formats: ["es"], fileName: "bundle" }, minify: true };
    const [{ output }] = await build({ root: join(entry, ".."), logLevel: "warn", configFile: false, build: options });
    // A library's blanks are left to whoever uses it.
    return (await transform(output[0].code, { minify: true })).code;
  },
  webpack: async (/** @type {string} */ entry) => {
    const path = `${entry}.out`;
    const stats = await pack({ context: join(entry, ".."), entry, output: { path } });
    equal(stats.toJson({ all: false, errors: true, warnings: true }).errors, []);
    return readFile(join(path, "main.js"), "utf8");
  },
};

for (const [name, bundle] of Object.entries(BUNDLERS)) {
  test(`${name} leaves out what is not imported`, async () => {
    const root = await project(`shaken-${name}`, {
      "error.js": 'import { MistError } from "mist-pubsub"; globalThis.used = MistError;',
      "client.js": 'import { connect } from "mist-pubsub"; globalThis.used = connect;',
    });
    const [error = "", client = ""] = await Promise.all(["error.js", "client.js"].map((file) => bundle(join(root, file))));
    ok(error.includes("MistError") && error.length < 1500, `${error.length} characters for an error: ${error}`);
    ok(client.includes("unsubscribe") && !/WebAssembly|SharedWorker/.test(client), "a client carries no broker");
    ok(gzipSync(client).length < 11_500, `${gzipSync(client).length} bytes for a client`);
  });
}

for (const format of /** @type {const} */ (["esm", "cjs"])) {
  test(`esbuild makes one file for Node of everything, as ${format}`, async () => {
    const root = await project(`server-${format}`, {
      "app.mjs": `import { Broker } from "mist-pubsub"; async function run() { ${IN_NODE} } run();`,
    });
    const alone = await mkdtemp(join(tmpdir(), "mist-alone-"));
    const outfile = join(alone, format === "esm" ? "app.mjs" : "app.cjs");
    try {
      await esbuild({ entryPoints: [join(root, "app.mjs")], outfile, bundle: true, platform: "node", format, logLevel: "error" });
      const { stdout, stderr } = await run(process.execPath, [outfile], { cwd: alone });
      equal([stdout, stderr], ["12 min\n", ""]);
    } finally {
      await rm(alone, { recursive: true, force: true });
    }
  });
}

test("Vite builds it", { skip }, async () => {
  const root = await project("vite", { "index.html": `${HTML}<script type="module" src="/app.js"></script>` });
  const { build } = await bundler("vite");
  await build({ root, logLevel: "warn", configFile: false });
  await worksFrom(join(root, "dist"));
});

test("Vite serves it while one develops", { skip }, async () => {
  const root = await project("vite-dev", { "index.html": `${HTML}<script type="module" src="/app.js"></script>` });
  const { createServer } = await bundler("vite");
  const server = await createServer({ root, logLevel: "warn", configFile: false, server: { host: "127.0.0.1", port: 0 } });
  await server.listen();
  try {
    await works(server.resolvedUrls.local[0]);
  } finally {
    await server.close();
  }
});

test("webpack builds it without being configured", { skip }, async () => {
  const root = await project("webpack", { "index.html": `${HTML}<script src="main.js"></script>` });
  const stats = await pack({ context: root, entry: "./app.js", output: { path: root } });
  equal(stats.toJson({ all: false, errors: true, warnings: true }).errors, []);
  await worksFrom(root);
});

test("esbuild builds the entry that carries the core", { skip }, async () => {
  const root = await project("esbuild", { "index.html": `${HTML}<script type="module" src="bundle.js"></script>` });
  await esbuild({
    entryPoints: [join(root, "app.js")],
    outfile: join(root, "bundle.js"),
    alias: { "mist-pubsub": "mist-pubsub/inline" },
    bundle: true,
    format: "esm",
    logLevel: "error",
  });
  // It takes no other files along, so there is no worker.
  await worksFrom(root, "here");
});

/**
 * What webpack makes of a project.
 * @param {object} paths
 * @returns {Promise<any>}
 */
async function pack(paths) {
  const { default: webpack } = await bundler("webpack");
  return new Promise((resolve, reject) => {
    webpack({ mode: "production", ...paths }, (/** @type {unknown} */ error, /** @type {unknown} */ stats) =>
      error ? reject(error) : resolve(stats),
    );
  });
}

/** Where the bundlers' own entries are. */
const MAINS = /** @type {const} */ ({
  "@rollup/plugin-node-resolve": "dist/es/index.js",
  rollup: "dist/es/rollup.js",
  vite: "dist/node/index.js",
  webpack: "lib/index.js",
});

/**
 * @param {keyof typeof MAINS} name
 * @returns {Promise<any>}
 */
function bundler(name) {
  const main = MAINS[name];
  return import(path(`test/packages/node_modules/${name}/${main}`));
}
