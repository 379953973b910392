/** Owns how a test gets the built page in Chromium. It does not know what is tested on it. */

import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { findChromium, startChromium } from "../../wasm/npm/test/harness/chromium.js";
import { serve } from "../../wasm/npm/test/harness/site.js";

const dist = fileURLToPath(new URL("../../native/server/page/dist", import.meta.url));
const artifacts = fileURLToPath(new URL("../artifacts/", import.meta.url));

assert.ok(existsSync(`${dist}/index.html`), "the page is not built (cargo xtask web)");

/** Why nothing can be tested here; `false` when it can. */
export const without = findChromium() ? false : "there is no Chromium here: install it, or name it in MIST_CHROMIUM";

/** A board on which nothing moves by itself. */
export const quiet = "#subscribers=A:red,blue;B:red;C:green&publishers=";

/** The page on a plain file server, in one browser. */
export async function startSite() {
  const site = await serve(dist);
  const browser = await startChromium();
  return {
    url: `${site.url}/`,
    browser,
    /** A visitor with storage and a shared broker of their own. */
    visitor: (options = {}) => browser.newContext({ viewport: { width: 1440, height: 900 }, ...options }),
    /** Lets only the browser go on. */
    stop: () => site.close(),
    close: async () => {
      await browser.close();
      await site.close();
    },
  };
}

/** Opens the page, waits until its broker is there, and collects what goes wrong in it. Most have seen its opening. */
export async function open(visitor, url, { opening = false } = {}) {
  const page = await visitor.newPage();
  if (!opening) await page.addInitScript(() => location.protocol.startsWith("http") && sessionStorage.setItem("mist-opening", "told"));
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error.stack ?? error)));
  page.on("console", (message) => faults.push(`${message.type()}: ${message.text()}`));
  await page.goto(url);
  await page.waitForSelector('#standing[data-phase="open"]');
  return { page, faults };
}

/** A subscriber, by its place on the board. */
export function subscriber(page, at) {
  return page.locator(".subscriber").nth(at);
}

/** Publishes by hand, with tags that are typed. */
export async function publish(page, tags, text) {
  const chips = page.locator("#composer-tags button.chip:not(.chip-add)");
  while ((await chips.count()) > 0) await chips.first().press("Delete");
  await page.click("#composer-tags .chip-add");
  await page.keyboard.type(tags.join(","));
  await page.keyboard.press("Enter");
  await page.keyboard.press("Escape");
  await page.fill("#composer-text", text);
  await page.click("#composer button[type=submit]");
}

/** Waits until an element's text is this, or matches this. */
export async function says(page, selector, wanted) {
  await page.waitForFunction(
    ([where, source, flags]) => new RegExp(source, flags).test(document.querySelector(where)?.textContent ?? ""),
    [selector, wanted instanceof RegExp ? wanted.source : `^${wanted}$`, wanted.flags ?? ""],
  );
}

/** Writes what the page looks like into `artifacts/`, which git ignores. */
export async function picture(page, name, options = {}) {
  mkdirSync(artifacts, { recursive: true });
  await page.screenshot({ path: `${artifacts}${name}.png`, ...options });
}
