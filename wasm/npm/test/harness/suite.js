/**
 * Owns how one suite of tests is run in Node and in Chromium.
 *
 * A suite is a module that exports a function: it gets all it may use, and imports nothing but the package and what
 * stands beside it for suites, so that it is the same file in both. It does not know what the suites test.
 */

import { after, afterEach, describe, test } from "node:test";
import { WebSocket } from "ws";
import * as assert from "./assert.js";
import { findChromium, openPage, startChromium } from "./chromium.js";
import { Machine } from "./machine.js";
import { catchReports } from "./reports.js";
import { serve } from "./site.js";
import * as wait from "./wait.js";
import { path } from "../../scripts/places.js";

/**
 * Another page of the same origin.
 * @typedef {object} Tab
 * @property {(work: (...args: any[]) => unknown, ...args: unknown[]) => Promise<any>} run Runs a function there; it sees
 *   nothing but its arguments.
 * @property {() => Promise<void>} close
 */

/**
 * What a suite gets.
 * @typedef {object} OwnTools
 * @property {(name: string, work: () => unknown, seconds?: number) => void} test Adds a test, which may take longer.
 * @property {typeof import("./assert.js")} assert
 * @property {typeof catchReports} catchReports
 * @property {(args?: readonly string[]) => Promise<import("./server.js").Server>} startServer Starts a server; it ends
 *   with the test.
 * @property {(target: string) => Promise<import("./proxy.js").Proxy>} startProxy The same for a network before it.
 * @property {((path?: string) => Promise<Tab>) | undefined} openTab Only where there are tabs.
 * @property {() => Promise<number>} heapBytes How much JavaScript memory is in use after all garbage is collected.
 * @property {(folder: "transcripts" | "vectors") => Promise<Record<string, string>>} protocolTexts Those of the protocol, by
 *   their paths.
 * @property {"node" | "chromium"} place
 * @property {(new (url: string, protocols?: string | string[]) => any) | undefined} webSocket The WebSocket to pass on where
 *   there is none.
 * @property {Record<string, string>} settings What the environment says to the tests: `MIST_TEST_*`.
 */

/** @typedef {OwnTools & typeof wait} Tools */
/** @typedef {(tools: Tools) => void | Promise<void>} Suite */

/** How long a test may take before it fails; nothing waits for it to pass. */
const PATIENCE = 30_000;

/**
 * Runs a suite in Node and in Chromium.
 * @param {string} name the file below test/suites, without its ending
 */
export async function runSuite(name) {
  const settings = Object.entries(process.env).flatMap(([key, value]) =>
    key.startsWith("MIST_TEST_") && value !== undefined ? [[key.slice("MIST_TEST_".length), value]] : [],
  );
  await inNode(name, Object.fromEntries(settings));
  await inChromium(name, Object.fromEntries(settings));
}

/**
 * @param {string} name
 * @param {Record<string, string>} settings
 */
async function inNode(name, settings) {
  /** @type {{ default: Suite }} */
  const { default: suite } = await import(`../suites/${name}.js`);
  await describe(`${name} in Node`, async () => {
    const machine = new Machine();
    afterEach(() => machine.clear());
    await suite({
      test: (title, work, seconds = 0) =>
        void test(title, { timeout: PATIENCE + seconds * 1000 }, async () => void (await work())),
      assert,
      ...wait,
      catchReports,
      startServer: (args) => machine.startServer(args),
      startProxy: (target) => machine.startProxy(target),
      openTab: undefined,
      heapBytes: () => machine.heapBytes(),
      protocolTexts: (folder) => machine.protocolTexts(folder),
      place: "node",
      webSocket: WebSocket,
      settings,
    });
  });
}

/**
 * @param {string} name
 * @param {Record<string, string>} settings
 */
async function inChromium(name, settings) {
  if (findChromium() === undefined) {
    test(`${name} in Chromium`, { skip: "there is no Chromium here; MIST_CHROMIUM can name one" }, () => {});
    return;
  }
  const site = await serve(path("."), { "/": PAGE });
  const browser = await startChromium();
  const { page, faults } = await openPage(await browser.newContext(), site.url);
  const machine = new Machine(page);
  await page.exposeFunction("startServer", async (/** @type {string[]} */ args) => {
    const { tcp, http, ws } = await machine.startServer(args);
    return { tcp, http, ws };
  });
  await page.exposeFunction("startProxy", async (/** @type {string} */ target) => (await machine.startProxy(target)).url);
  await page.exposeFunction("openTab", (/** @type {string} */ path) => machine.openTab(path));
  await page.exposeFunction("tell", (/** @type {[string, string]} */ ...args) => machine.tell(...args));
  await page.exposeFunction("heapBytes", () => machine.heapBytes());
  await page.exposeFunction("protocolTexts", (/** @type {string} */ folder) => machine.protocolTexts(folder));
  await page.addScriptTag({ type: "module", url: "/test/harness/page.js" });
  const file = `/test/suites/${name}.js`;
  const tests = await page.evaluate(([file, settings]) => window.suite.load(file, settings), /** @type {const} */ ([file, settings]));
  describe(`${name} in Chromium`, () => {
    for (const { title, seconds } of tests) {
      test(title, { timeout: PATIENCE + seconds * 1000 }, async () => {
        const failure = await page.evaluate((title) => window.suite.run(title), title);
        if (failure !== undefined) throw new Error(failure);
        assert.equal(faults.splice(0), [], "nothing goes wrong in the page");
      });
    }
    afterEach(() => machine.clear());
    after(async () => {
      await browser.close();
      await site.close();
    });
  });
}

/** A page without a bundler: the browser finds the package by itself. */
const PAGE = `<!doctype html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<script type="importmap">
  { "imports": { "mist-pubsub": "/dist/page/index.js" } }
</script>`;
