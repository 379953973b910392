/**
 * Owns what tests do to the world outside a page: servers, proxies, tabs, the heap. All of it ends with the test. It
 * does not know who asks.
 */

import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { openPage } from "./chromium.js";
import { startProxy } from "./proxy.js";
import { startServer } from "./server.js";
import { path } from "../../scripts/places.js";

/** @typedef {Record<string, (...args: any[]) => unknown>} Verbs */

export class Machine {
  /** By its address, or its name. */
  #things = /** @type {Map<string, Verbs>} */ (new Map());
  #page;
  #tabs = 0;

  /** @param {import("playwright-core").Page} [page] */
  constructor(page) {
    this.#page = page;
  }

  /** @param {readonly string[]} [args] */
  async startServer(args) {
    const server = await startServer(args);
    const { tcp, http, ws, ...verbs } = server;
    this.#things.set(tcp, { ...verbs, end: server.kill });
    return server;
  }

  /** @param {string} target */
  async startProxy(target) {
    const proxy = await startProxy(target);
    const { url, ...verbs } = proxy;
    this.#things.set(url, verbs);
    return proxy;
  }

  /**
   * Opens another page of the same origin, and returns its name.
   * @param {string} path
   */
  async openTab(path) {
    if (!this.#page) throw new Error("there are no tabs here");
    const { page, faults } = await openPage(this.#page.context(), new URL(path, this.#page.url()).href);
    const name = `tab ${(this.#tabs += 1)}`;
    const close = async () => {
      this.#things.delete(name);
      await page.close();
      if (faults.length > 0) throw new Error(`in ${name}: ${faults.join("\n")}`);
    };
    const run = (/** @type {string} */ source) => page.evaluate(source);
    this.#things.set(name, { run, close, end: close });
    return name;
  }

  /**
   * Does something with what has this address or name.
   * @param {string} address
   * @param {string} what
   * @param {unknown[]} args
   */
  async tell(address, what, ...args) {
    const verb = this.#things.get(address)?.[what];
    if (!verb) throw new Error(`${address} cannot ${what}`);
    return verb(...args);
  }

  /** How much JavaScript memory is in use after all garbage is collected. */
  async heapBytes() {
    if (this.#page) {
      const session = await this.#page.context().newCDPSession(this.#page);
      await session.send("HeapProfiler.collectGarbage");
      const { usedSize } = await session.send("Runtime.getHeapUsage");
      await session.detach();
      return usedSize;
    }
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc");
    for (let round = 0; round < 3; round++) {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return process.memoryUsage().heapUsed;
  }

  /**
   * The transcripts or vectors of the protocol, by their paths.
   * @param {string} name
   */
  async protocolTexts(name) {
    const folder = path(`../../tests/${name}`);
    const names = (await readdir(folder, { recursive: true })).filter((name) => /\.(txt|json)$/.test(name)).sort();
    const texts = names.map(async (name) => [name, await readFile(join(folder, name), "utf8")]);
    return /** @type {Record<string, string>} */ (Object.fromEntries(await Promise.all(texts)));
  }

  async clear() {
    const things = [...this.#things.values()];
    this.#things.clear();
    await Promise.all(things.map(({ end }) => end?.()));
  }
}
