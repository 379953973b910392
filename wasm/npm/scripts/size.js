/**
 * Owns how many bytes the package costs a page: it measures each entry, says what the core's are spent on, and does not let
 * them grow unseen. With --write it records them in size.json and in the README. It does not know how to save any.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";
import { spent, stripped } from "./module.js";
import { path } from "./places.js";

/** What an application imports, by what the README calls it; whether it loads the core as well. */
const ENTRIES = /** @type {const} */ ([
  ["connect", "a client", 'export { connect } from "mist-pubsub";', false],
  ["Broker", "a broker in the page, to begin with", 'export { Broker } from "mist-pubsub";', false],
  ["all", "both, with the core", 'export * from "mist-pubsub";', true],
  ["MistError", "the error alone", 'export { MistError } from "mist-pubsub";', false],
]);

/** What the core's bytes are spent on, by the names of its functions; the first that fits counts. */
const PARTS = /** @type {const} */ ([
  ["ordered maps of the standard library", /btree/],
  ["sorting of the standard library", /sort/],
  ["memory allocation", /dlmalloc|talc|__rdl_|__rg_|__rust_|raw_vec|RawVec/],
  ["messages: scanner, encoder", /mist_core\d+message|memchr/],
  ["tags and index", /mist_core\d+index|hashbrown|foldhash/],
  ["broker, sessions, tokens", /mist_core\d+(broker|auth|limits|error|ends)|subtle/],
  ["edge to the page", /mist_pubsub_wasm|^[a-z_]+$/],
  ["formatting and panics", /fmt|panic|unwrap_failed|expect_failed|_fail\b|^<?std/],
  ["other", /(?:)/],
]);

/** How much more is let pass: compressors differ a little from machine to machine. */
const SLACK = 1.005;

/** @typedef {{ raw: number, gzip: number, brotli: number }} Weight */

/**
 * @param {Uint8Array} bytes
 * @returns {Weight}
 */
function weigh(bytes) {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 };
  return {
    raw: bytes.length,
    gzip: gzipSync(bytes, { level: 9 }).length,
    brotli: brotliCompressSync(bytes, { params }).length,
  };
}

/**
 * What a bundler makes of a program.
 * @param {string} program
 */
async function bundled(program) {
  const { outputFiles } = await build({
    stdin: { contents: program, resolveDir: path(".") },
    bundle: true,
    format: "esm",
    minify: true,
    target: "es2022",
    write: false,
    logLevel: "error",
  });
  return weigh(/** @type {import("esbuild").OutputFile} */ (outputFiles[0]).contents);
}

async function report() {
  const named = readFileSync(path("gen/named.wasm"));
  const core = weigh(stripped(named));
  /** @type {{ name: string, about: string, script: Weight, all: Weight }[]} */
  const entries = [];
  for (const [name, about, program, hasCore] of ENTRIES) {
    const script = await bundled(program);
    const { raw, gzip, brotli } = hasCore ? core : { raw: 0, gzip: 0, brotli: 0 };
    const all = { raw: script.raw + raw, gzip: script.gzip + gzip, brotli: script.brotli + brotli };
    entries.push({ name, about, script, all });
  }
  return { entries, core, parts: parts(named) };
}

/** @param {Buffer} named */
function parts(named) {
  const { functions, data, rest } = spent(named);
  /** @type {Map<string, number>} */
  const sums = new Map(PARTS.map(([part]) => [part, 0]));
  for (const { name, bytes } of functions) {
    const [part] = PARTS.find(([, pattern]) => pattern.test(name)) ?? ["other"];
    sums.set(part, (sums.get(part) ?? 0) + bytes);
  }
  sums.set("texts and tables", data);
  sums.set("types, imports, exports", rest);
  return [...sums].sort(([, a], [, b]) => b - a);
}

/** @param {number} bytes */
const kb = (bytes) => (bytes / 1000).toFixed(1);

/** @param {Awaited<ReturnType<typeof report>>} report */
function table({ entries, core, parts }) {
  return [
    "| what a page loads, KB | raw | gzip | brotli | of these gzip, script and core |",
    "|---|--:|--:|--:|--:|",
    ...entries.map(({ name, about, script, all }) => {
      const of = script.gzip === all.gzip ? kb(script.gzip) : `${kb(script.gzip)} + ${kb(core.gzip)}`;
      const imported = name === "all" ? "everything" : `\`${name}\``;
      return `| ${imported}: ${about} | ${kb(all.raw)} | ${kb(all.gzip)} | ${kb(all.brotli)} | ${of} |`;
    }),
    "",
    "| what the core is made of | KB, raw |",
    "|---|--:|",
    ...parts.filter(([, bytes]) => bytes > 0).map(([part, bytes]) => `| ${part} | ${kb(bytes)} |`),
  ].join("\n");
}

/** @param {string} text */
function record(text) {
  const [start, end] = ["<!-- sizes: written by `cargo xtask wasm --record` -->", "<!-- end of sizes -->"];
  const readme = readFileSync(path("README.md"), "utf8");
  const [before, rest] = readme.split(start);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`the README has no ${start} ${end}`);
  writeFileSync(path("README.md"), `${before}${start}\n\n${text}\n\n${end}${after}`);
}

const found = await report();
console.log(table(found));
if (process.argv.includes("--write")) {
  const sizes = found.entries.map(({ name, all: { gzip, brotli } }) => [name, { gzip, brotli }]);
  writeFileSync(path("size.json"), `${JSON.stringify(Object.fromEntries(sizes), null, 2)}\n`);
  record(table(found));
} else {
  /** @type {Record<string, { gzip: number, brotli: number }>} */
  const allowed = JSON.parse(readFileSync(path("size.json"), "utf8"));
  for (const { name, all: { gzip, brotli } } of found.entries) {
    const most = allowed[name];
    if (most && gzip <= most.gzip * SLACK && brotli <= most.brotli * SLACK) continue;
    console.error(
      `${name} has grown: ${gzip} bytes with gzip and ${brotli} with brotli, while size.json allows ` +
        `${most?.gzip} and ${most?.brotli}. Save some, or record it: cargo xtask wasm --record`,
    );
    process.exitCode = 1;
  }
}
