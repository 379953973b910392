/**
 * Owns how dist/ is made of src/ and of what wasm-bindgen wrote into gen/.
 * It does not know how gen/ came about.
 */

import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { build } from "esbuild";
import { stripped } from "./module.js";
import { path, tool } from "./places.js";

/** The modules that applications import. Node has its own script for the first, with the same types. */
const ENTRIES = ["index", "inline", "slim"];

mkdirSync(path("dist"), { recursive: true });
optimise();
clear();
for (const license of ["LICENSE-MIT", "LICENSE-APACHE"]) {
  copyFileSync(path(`../../${license}`), path(`dist/${license}`));
}
await bundle();
declare();

/** Shrinks the core. It is the slowest step by far, so it is left out when nothing changed. */
function optimise() {
  const [from, to, named] = [path("gen/mist_bg.wasm"), path("dist/mist_bg.wasm"), path("gen/named.wasm")];
  const makers = [path("scripts/build.js"), path("scripts/module.js"), tool("wasm-opt")];
  const sources = [from, ...makers].map((file) => statSync(file).mtimeMs);
  if (existsSync(to) && statSync(to).mtimeMs > Math.max(...sources)) return;
  // The names are for the size report.
  // Large functions stay apart, which compresses better; below the stack's end nothing is ever stored.
  const flags = ["-Oz", "--converge", "--one-caller-inline-max-function-size=20", "--low-memory-unused"];
  run("wasm-opt", [...flags, "-g", from, "-o", named]);
  writeFileSync(to, stripped(readFileSync(named)));
}

/** Removes what an earlier build left and this one may not make again. */
function clear() {
  for (const file of readdirSync(path("dist"))) {
    if (!file.endsWith(".wasm")) rmSync(path(`dist/${file}`));
  }
}

/**
 * Every entry is one file: a page without a bundler asks for that and the core, and nothing else; and a bundler that
 * takes exports from the file they come from cannot pass over how the entry loads the core. The worker is a part of
 * the page's entry.
 */
async function bundle() {
  /** @type {import("esbuild").BuildOptions} */
  const common = {
    bundle: true,
    format: "esm",
    platform: "neutral",
    target: "es2022",
    minify: true,
    sourcemap: true,
    external: ["node:*"],
    loader: { ".wasm": "base64" },
    outdir: path("dist"),
    logLevel: "warning",
  };
  const entries = ENTRIES.map((entry) => path(`src/${entry}.ts`));
  await Promise.all([
    build({ ...common, entryPoints: entries }),
    // Node shows the line that threw: it is to be one, with names that say something.
    build({ ...common, entryPoints: [path("src/node.ts")], minify: false }),
    build({ ...common, entryPoints: [path("src/shared-worker.ts")], external: ["./index.js"] }),
  ]);
}

/** Checks all types, and writes those of the package: what the entries' declarations lead to, and nothing else. */
function declare() {
  run("tsc", ["--project", path("tsconfig.json")]);
  const published = new Set(ENTRIES.map((entry) => `${entry}.d.ts`));
  // What is found is added, and visited in turn.
  for (const file of published) {
    const named = readFileSync(path(`dist/${file}`), "utf8").matchAll(/"\.\/([^"]+)\.js"/g);
    for (const [, module] of named) published.add(`${module}.d.ts`);
  }
  for (const file of readdirSync(path("dist"))) {
    if (file.endsWith(".d.ts") && !published.has(file)) rmSync(path(`dist/${file}`));
  }
}

/**
 * @param {Parameters<typeof tool>[0]} name
 * @param {string[]} args
 */
function run(name, args) {
  execFileSync(process.execPath, [tool(name), ...args], { stdio: "inherit" });
}
