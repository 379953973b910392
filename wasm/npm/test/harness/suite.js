/**
 * Owns how suites of tests are run in Node, in Chromium and in Firefox.
 *
 * A suite is a module that exports a function: it gets all it may use, and imports nothing but the package and what
 * stands beside it for suites, so that it is the same file in all. It does not know what the suites test.
 */

import { readdirSync } from "node:fs";
import { after, afterEach, before, describe, test } from "node:test";
import { WebSocket } from "ws";
import * as assert from "./assert.js";
import { findChromium, openPage, startChromium } from "./chromium.js";
import { findFirefox, openInFirefox, startFirefox } from "./firefox.js";
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
 * @property {"node" | "page"} place
 * @property {(new (url: string, protocols?: string | string[]) => any) | undefined} webSocket The WebSocket to pass on where
 *   there is none.
 * @property {Record<string, string>} settings What the environment says to the tests: `MIST_TEST_*`.
 */

/** @typedef {OwnTools & typeof wait} Tools */
/** @typedef {(tools: Tools) => void | Promise<void>} Suite */

/** The suites that Firefox cannot run: nothing tells from outside how its tabs meet, and how much memory is in use. */
const NOT_IN_FIREFOX = ["leaks", "shared"];

/** How long a test may take before it fails; nothing waits for it to pass. */
const PATIENCE = 30_000;

/** The files below test/suites, without their ending. */
const SUITES = readdirSync(path("test/suites")).map((file) => file.slice(0, -".js".length));

/** What the environment says to the tests. */
const SETTINGS = Object.fromEntries(
  Object.entries(process.env).flatMap(([key, value]) =>
    key.startsWith("MIST_TEST_") && value !== undefined ? [[key.slice("MIST_TEST_".length), value]] : [],
  ),
);

/** Runs all suites in Node. */
export async function runInNode() {
  for (const name of SUITES) await inNode(name, SETTINGS);
}

/** Runs all suites in Chromium. */
export async function runInChromium() {
  for (const name of SUITES) await inBrowser(CHROMIUM, name, SETTINGS);
}

/** Runs in Firefox all suites that it can run. */
export async function runInFirefox() {
  const names = SUITES.filter((name) => !NOT_IN_FIREFOX.includes(name));
  const firefox = forSuites(names.length);
  for (const name of names) await inBrowser(firefox, name, SETTINGS);
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
 * A browser, and how a page is opened in it.
 * @typedef {object} Browser
 * @property {string} name
 * @property {() => string | undefined} find Where it is, if it is here.
 * @property {(url: string) => Promise<{ page: any, faults: string[], close: () => Promise<void> }>} open
 */

/** @type {Browser} */
const CHROMIUM = {
  name: "Chromium",
  find: findChromium,
  open: async (url) => {
    const browser = await startChromium();
    return { ...(await openPage(await browser.newContext(), url)), close: () => browser.close() };
  },
};

/**
 * One Firefox for so many suites: it takes seconds to start.
 * @param {number} left
 * @returns {Browser}
 */
function forSuites(left) {
  /** @type {ReturnType<typeof startFirefox> | undefined} */
  let started;
  const open = async (/** @type {string} */ url) => {
    const browser = await (started ??= startFirefox());
    const opened = await openInFirefox(browser, url);
    const close = () => ((left -= 1) === 0 ? browser.close() : opened.page.close());
    return { ...opened, close };
  };
  return { name: "Firefox", find: findFirefox, open };
}

/**
 * @param {Browser} browser
 * @param {string} name
 * @param {Record<string, string>} settings
 */
async function inBrowser(browser, name, settings) {
  const title = `${name} in ${browser.name}`;
  if (browser.find() === undefined) {
    const variable = `MIST_${browser.name.toUpperCase()}`;
    test(title, { skip: `there is no ${browser.name} here; ${variable} can name one` }, () => {});
    return;
  }
  const site = await serve(path("."), { "/": PAGE });
  const { page, faults, close } = await browser.open(site.url);
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
  const load = (/** @type {readonly [string, Record<string, string>]} */ [file, settings]) => window.suite.load(file, settings);
  /** @type {{ title: string, seconds: number }[]} */
  const tests = await page.evaluate(load, /** @type {const} */ ([file, settings]));
  describe(title, () => {
    for (const { title, seconds } of tests) {
      test(title, { timeout: PATIENCE + seconds * 1000 }, async () => {
        const failure = await page.evaluate((/** @type {string} */ title) => window.suite.run(title), title);
        if (failure !== undefined) throw new Error(failure);
        assert.equal(faults.splice(0), [], "nothing goes wrong in the page");
      });
    }
    // A tab behind others gets its timers late.
    before(() => page.bringToFront());
    afterEach(() => machine.clear());
    after(async () => {
      await close();
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
