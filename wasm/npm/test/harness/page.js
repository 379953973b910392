/** Owns a suite inside a page: loads it, runs its tests one by one. It does not know who asks. */

import * as assert from "./assert.js";

/** @type {Map<string, () => unknown>} */
const tests = new Map();

/**
 * Loads a suite and returns the titles of its tests.
 * @param {string} file
 */
async function load(file) {
  /** @type {{ default: import("./suite.js").Suite }} */
  const { default: suite } = await import(file);
  await suite({
    test: (title, work) => void tests.set(title, work),
    assert,
    startServer: async (args = []) => {
      const addresses = await window.startServer(args);
      /** @param {string} what */
      const tell = (what) => () => window.tellServer(addresses.tcp, what);
      return {
        ...addresses,
        stop: tell("stop"),
        kill: tell("kill"),
        start: tell("start"),
        freeze: tell("freeze"),
        thaw: tell("thaw"),
      };
    },
    place: "chromium",
    webSocket: undefined,
  });
  return [...tests.keys()];
}

/**
 * Runs one test; what is wrong, if anything.
 * @param {string} title
 */
async function run(title) {
  try {
    await tests.get(title)?.();
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

window.suite = { load, run };
