/**
 * Owns that broker and clients do the same, line by line, compiled for this machine and for pages.
 * node compare.mjs GLUE CORE PROGRAM SEEDS
 */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [glue = "", core = "", program = "", seeds = "1"] = process.argv.slice(2);
const { initSync, trace } = await import(pathToFileURL(glue).href);
initSync({ module: readFileSync(core) });

const here = execFileSync(program, [seeds], { encoding: "utf8", maxBuffer: 1 << 30 }).split("\n");
const there = Array.from({ length: Number(seeds) }, (_, seed) => `seed ${seed}\n${trace(seed)}\n`).join("").split("\n");
const different = there.findIndex((line, index) => line !== here[index]);
if (different >= 0 || here.length !== there.length) {
  const line = different >= 0 ? different : there.length;
  const seed = there.slice(0, line + 1).findLast((line) => line.startsWith("seed "));
  console.error(`${seed} is another history in a page:`);
  for (const line of there.slice(Math.max(different - 5, 0), different)) console.error(`  ${line}`);
  console.error(`here: ${here[line]}\npage: ${there[line]}`);
  process.exitCode = 1;
} else {
  console.log(`${seeds} histories of ${there.length} lines in all are the same`);
}
