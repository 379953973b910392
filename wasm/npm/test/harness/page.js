/** Owns a suite inside a page: loads it, runs its tests one by one. It does not know who asks. */

import * as assert from "./assert.js";
import { catchReports } from "./reports.js";
import * as wait from "./wait.js";

/** @type {Map<string, () => unknown>} */
const tests = new Map();

/**
 * Loads a suite and returns its tests.
 * @param {string} file
 * @param {Record<string, string>} settings
 */
async function load(file, settings) {
  /** @type {{ default: import("./suite.js").Suite }} */
  const { default: suite } = await import(file);
  /** @type {{ title: string, seconds: number }[]} */
  const found = [];
  await suite({
    test: (title, work, seconds = 0) => {
      tests.set(title, work);
      found.push({ title, seconds });
    },
    assert,
    ...wait,
    catchReports,
    startServer: async (args = []) => {
      const addresses = await window.startServer(args);
      return { ...addresses, ...verbs(addresses.tcp, ["stop", "kill", "start", "freeze", "thaw"]) };
    },
    startProxy: async (target) => {
      const url = await window.startProxy(target);
      return { url, ...verbs(url, ["accepted", "cut", "hold", "release", "end"]) };
    },
    openTab: async (path = "/") => {
      const name = await window.openTab(path);
      return {
        run: (work, ...args) => window.tell(name, "run", `(${work})(...${JSON.stringify(args)})`),
        close: () => window.tell(name, "close"),
      };
    },
    heapBytes: () => window.heapBytes(),
    protocolTexts: (folder) => window.protocolTexts(folder),
    place: "page",
    webSocket: undefined,
    settings,
  });
  return found;
}

/**
 * @template {string} K
 * @param {string} address
 * @param {K[]} names
 * @returns {Record<K, () => Promise<any>>}
 */
function verbs(address, names) {
  const told = names.map((name) => [name, () => window.tell(address, name)]);
  return Object.fromEntries(told);
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
