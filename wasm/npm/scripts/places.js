/** Owns where the things of this package are. It does not know what is done with them. */

import { fileURLToPath } from "node:url";

/** The programs of other packages that the scripts run. */
const TOOLS = {
  attw: "@arethetypeswrong/cli/dist/index.js",
  publint: "publint/src/cli.js",
  tsc: "typescript/bin/tsc",
  "wasm-opt": "binaryen/bin/wasm-opt",
};

/**
 * The path of a file of this package.
 * @param {string} name
 */
export function path(name) {
  return fileURLToPath(new URL(`../${name}`, import.meta.url));
}

/**
 * The path of a program, to be run by node.
 * @param {keyof typeof TOOLS} name
 */
export function tool(name) {
  return path(`node_modules/${TOOLS[name]}`);
}
