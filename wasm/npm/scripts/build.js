/**
 * Owns how dist/ is made of src/ and of the compiled core in gen/.
 * It does not know how gen/ came about.
 */

import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { build } from "esbuild";
import { stripped } from "./module.js";
import { path, tool } from "./places.js";

/** The modules that applications import. */
const ENTRIES = ["index", "light", "inline", "slim"];

/** What a page loads that has no bundler: each is one file. */
const PAGE = ["index", "light", "shared-worker"];

mkdirSync(path("dist"), { recursive: true });
optimise();
clear();
for (const license of ["LICENSE-MIT", "LICENSE-APACHE"]) {
  copyFileSync(path(`../../${license}`), path(`dist/${license}`));
}
await transform();
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
  // For the entry that carries the core in itself.
  writeFileSync(path("gen/base64.js"), `export default "${readFileSync(to).toString("base64")}";\n`);
  writeFileSync(path("gen/base64.d.ts"), "declare const base64: string;\nexport default base64;\n");
}

/** Removes what an earlier build left and this one may not make again. */
function clear() {
  for (const file of readdirSync(path("dist"))) {
    if (!file.endsWith(".wasm")) rmSync(path(`dist/${file}`), { recursive: true });
  }
}

/**
 * Bundlers and Node get each module by itself, so that what is not imported is left out, and what throws can be read. A page
 * without a bundler gets one file for all that it imports.
 */
async function transform() {
  /** @type {import("esbuild").BuildOptions} */
  const common = { format: "esm", platform: "neutral", target: "es2022", outdir: path("dist"), logLevel: "warning" };
  const sources = readdirSync(path("src")).filter((file) => file.endsWith(".ts"));
  const modules = sources.map((file) => ({ in: path(`src/${file}`), out: `modules/${file.slice(0, -".ts".length)}` }));
  const core = [{ in: path("gen/base64.js"), out: "gen/base64" }];
  const page = PAGE.map((name) => ({ in: path(`src/${name}.ts`), out: `page/${name}` }));
  await Promise.all([
    build({ ...common, entryPoints: modules }),
    build({ ...common, entryPoints: core, minifyWhitespace: true }),
    // The worker is a part of the page's entry.
    build({ ...common, entryPoints: page, bundle: true, minify: true, external: ["./index.js"] }),
  ]);
}

/** Checks all types, and writes those of the package: what the entries' declarations lead to, and nothing else. */
function declare() {
  run("tsc", ["--project", path("tsconfig.json")]);
  const published = new Set(ENTRIES.map((entry) => `${entry}.d.ts`));
  // What is found is added, and visited in turn.
  for (const file of published) {
    const named = readFileSync(path(`dist/modules/${file}`), "utf8").matchAll(/"\.\/([^"]+)\.js"/g);
    for (const [, module] of named) published.add(`${module}.d.ts`);
  }
  for (const file of readdirSync(path("dist/modules"))) {
    if (file.endsWith(".d.ts") && !published.has(file)) rmSync(path(`dist/modules/${file}`));
  }
}

/**
 * @param {Parameters<typeof tool>[0]} name
 * @param {string[]} args
 */
function run(name, args) {
  execFileSync(process.execPath, [tool(name), ...args], { stdio: "inherit" });
}
