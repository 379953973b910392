/** Owns how Chromium is found and started. It does not know which pages are looked at. */

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const PLACES = [
  process.env["MIST_CHROMIUM"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/snap/bin/chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
];

/** It is to look at our pages only, and to ask nobody for anything. */
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Where Chromium is, if it is here. */
export function findChromium() {
  return PLACES.find((place) => place !== undefined && existsSync(place));
}

/** Starts Chromium without a window. */
export async function startChromium() {
  const executablePath = findChromium();
  if (executablePath === undefined) {
    throw new Error("there is no Chromium here: install it (apt-get install chromium), or name it in MIST_CHROMIUM");
  }
  return chromium.launch({ executablePath, args: ARGUMENTS });
}

/**
 * Opens a page, and collects what goes wrong in it.
 * @param {import("playwright-core").Browser | import("playwright-core").BrowserContext} browser
 * @param {string} url
 */
export async function openPage(browser, url) {
  const page = await browser.newPage();
  /** @type {string[]} */
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error.stack ?? error)));
  page.on("console", (message) => {
    const isLoud = message.type() === "error" || message.type() === "warning";
    // Chromium tells of every connection that fails, whatever the page does about it.
    if (isLoud && !message.text().startsWith("WebSocket connection to ")) faults.push(message.text());
  });
  await page.goto(url);
  return { page, faults };
}
