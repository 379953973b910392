/**
 * Owns how many bytes the package costs a page: it measures them, says what they are spent on, and does not let them
 * grow unseen. With --write it records them in size.json and in the README. It does not know how to save any.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { spent, stripped } from "./module.js";
import { path } from "./places.js";

/** What the core's bytes are spent on, by the names of its functions; the first that fits counts. */
const PARTS = /** @type {const} */ ([
  ["ordered maps of the standard library", /btree/],
  ["sorting of the standard library", /sort/],
  ["memory allocation", /dlmalloc|talc|__rdl_|__rg_|__rust_|raw_vec|RawVec/],
  ["messages: scanner, encoder", /mist_core::message|memchr/],
  ["tags and index", /mist_core::(index|tags)|hashbrown|foldhash/],
  ["broker, sessions, tokens", /mist_core::(broker|auth|session|limits|error)|subtle|^broker_/],
  ["client", /mist_core::client|^client_/],
  ["edge to the page", /mist_pubsub_wasm|wasm_bindgen|js_sys|web_sys|^__wb|externref/],
  ["formatting and panics", /fmt|panic|unwrap_failed|expect_failed|_fail\b|^<?std/],
  ["other", /(?:)/],
]);

/** How much more is let pass: compressors differ a little from machine to machine. */
const SLACK = 1.005;

/** @param {Buffer} bytes */
function weigh(bytes) {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 };
  return {
    raw: bytes.length,
    gzip: gzipSync(bytes, { level: 9 }).length,
    brotli: brotliCompressSync(bytes, { params }).length,
  };
}

function report() {
  const named = readFileSync(path("gen/named.wasm"));
  const script = weigh(readFileSync(path("dist/index.js")));
  const core = weigh(stripped(named));
  const all = {
    raw: script.raw + core.raw,
    gzip: script.gzip + core.gzip,
    brotli: script.brotli + core.brotli,
  };
  return { script, core, all, parts: parts(named) };
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

/** @param {ReturnType<typeof report>} report */
function table({ script, core, all, parts }) {
  const rows = /** @type {const} */ ([
    ["`index.js`", script],
    ["`mist_bg.wasm`", core],
    ["**together**", all],
  ]);
  return [
    "| what a page loads, KB | raw | gzip | brotli |",
    "|---|--:|--:|--:|",
    ...rows.map(([name, { raw, gzip, brotli }]) => `| ${name} | ${kb(raw)} | ${kb(gzip)} | ${kb(brotli)} |`),
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

const found = report();
console.log(table(found));
const { gzip, brotli } = found.all;
if (process.argv.includes("--write")) {
  writeFileSync(path("size.json"), `${JSON.stringify({ gzip, brotli }, null, 2)}\n`);
  record(table(found));
} else {
  /** @type {{ gzip: number, brotli: number }} */
  const allowed = JSON.parse(readFileSync(path("size.json"), "utf8"));
  if (gzip > allowed.gzip * SLACK || brotli > allowed.brotli * SLACK) {
    console.error(
      `the package has grown: ${gzip} bytes with gzip and ${brotli} with brotli, while size.json allows ` +
        `${allowed.gzip} and ${allowed.brotli}. Save some, or record it: cargo xtask wasm --record`,
    );
    process.exitCode = 1;
  }
}
