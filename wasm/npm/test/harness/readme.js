/** Owns the code in the README, as tests run it. It does not know what it does. */

import { readFile } from "node:fs/promises";
import { path } from "../../scripts/places.js";

/**
 * The block of the README's code that has these words in it, with some of it changed.
 * @param {string} words
 * @param {Readonly<Record<string, string>>} [changes]
 */
export async function block(words, changes = {}) {
  const readme = await readFile(path("README.md"), "utf8");
  const blocks = [...readme.matchAll(/^```\w+\n(.*?)^```$/gms)].map(([, code = ""]) => code);
  let code = blocks.find((code) => code.includes(words));
  if (code === undefined) throw new Error(`the README has no block with ${words}`);
  for (const [from, to] of Object.entries(changes)) {
    if (!code.includes(from)) throw new Error(`the README's block with ${words} has no ${from}`);
    code = code.replaceAll(from, to);
  }
  return code;
}
