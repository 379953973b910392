/**
 * Owns how one suite of tests is run in Node and in Chromium.
 *
 * A suite is a module that exports a function: it gets all it may use, and must not import anything but the package,
 * so that it is the same file in both. It does not know what the suites test.
 */

import { after, afterEach, describe, test } from "node:test";
import { WebSocket } from "ws";
import * as assert from "./assert.js";
import { findChromium, openPage, startChromium } from "./chromium.js";
import { startServer } from "./server.js";
import { serve } from "./site.js";
import { path } from "../../scripts/places.js";

/** @typedef {import("./server.js").Server} Server */

/**
 * What a suite gets.
 * @typedef {object} Tools
 * @property {(name: string, work: () => unknown) => void} test Adds a test.
 * @property {typeof import("./assert.js")} assert
 * @property {(args?: readonly string[]) => Promise<Server>} startServer Starts a server; it ends with the test.
 * @property {"node" | "chromium"} place
 * @property {(new (url: string, protocols?: string | string[]) => any) | undefined} webSocket The WebSocket to pass on where
 *   there is none.
 */

/** @typedef {(tools: Tools) => void | Promise<void>} Suite */

/** How long a test may take before it fails; nothing waits for it to pass. */
const PATIENCE = 30_000;

/** The servers of the test that runs. */
class Servers {
  /** @type {Server[]} */
  #servers = [];

  /** @param {readonly string[]} [args] */
  async start(args) {
    const server = await startServer(args);
    this.#servers.push(server);
    return server;
  }

  /**
   * Does something with the server at an address.
   * @param {string} tcp
   * @param {"stop" | "kill" | "start" | "freeze" | "thaw"} what
   */
  async tell(tcp, what) {
    await this.#servers.find((server) => server.tcp === tcp)?.[what]();
  }

  async clear() {
    await Promise.all(this.#servers.splice(0).map((server) => server.kill()));
  }
}

/**
 * Runs a suite in Node and in Chromium.
 * @param {string} name the file below test/suites, without its ending
 */
export async function runSuite(name) {
  await inNode(name);
  await inChromium(name);
}

/** @param {string} name */
async function inNode(name) {
  /** @type {{ default: Suite }} */
  const { default: suite } = await import(`../suites/${name}.js`);
  await describe(`${name} in Node`, async () => {
    const servers = new Servers();
    afterEach(() => servers.clear());
    await suite({
      test: (title, work) => void test(title, { timeout: PATIENCE }, async () => void (await work())),
      assert,
      startServer: (args) => servers.start(args),
      place: "node",
      webSocket: WebSocket,
    });
  });
}

/** @param {string} name */
async function inChromium(name) {
  if (findChromium() === undefined) {
    test(`${name} in Chromium`, { skip: "there is no Chromium here; MIST_CHROMIUM can name one" }, () => {});
    return;
  }
  const servers = new Servers();
  const site = await serve(path("."), { "/": PAGE });
  const browser = await startChromium();
  const { page, faults } = await openPage(browser, site.url);
  await page.exposeFunction("startServer", async (/** @type {string[]} */ args) => {
    const { tcp, http, ws } = await servers.start(args);
    return { tcp, http, ws };
  });
  await page.exposeFunction("tellServer", (/** @type {string} */ tcp, /** @type {"stop"} */ what) => servers.tell(tcp, what));
  await page.addScriptTag({ type: "module", url: "/test/harness/page.js" });
  const titles = await page.evaluate((file) => window.suite.load(file), `/test/suites/${name}.js`);
  describe(`${name} in Chromium`, () => {
    for (const title of titles) {
      test(title, { timeout: PATIENCE }, async () => {
        const failure = await page.evaluate((title) => window.suite.run(title), title);
        if (failure !== undefined) throw new Error(failure);
        assert.equal(faults.splice(0), [], "nothing goes wrong in the page");
      });
    }
    afterEach(() => servers.clear());
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
  { "imports": { "mist-pubsub": "/dist/index.js", "mist-pubsub/inline": "/dist/inline.js", "mist-pubsub/slim": "/dist/slim.js" } }
</script>`;
