/** Owns how Firefox is found and driven: by the protocol that it has for that itself. It does not know which pages are looked at. */

import { existsSync } from "node:fs";
import puppeteer from "puppeteer-core";

const PLACES = [
  process.env["MIST_FIREFOX"],
  "/usr/bin/firefox-esr",
  "/usr/bin/firefox",
  "/Applications/Firefox.app/Contents/MacOS/firefox",
  "C:\\Program Files\\Mozilla Firefox\\firefox.exe",
];

/** Where Firefox is, if it is here. */
export function findFirefox() {
  return PLACES.find((place) => place !== undefined && existsSync(place));
}

/** Tests cut more connections than anybody would. */
const PREFERENCES = { "network.websocket.delay-failed-reconnects": false };

/** Starts Firefox without a window. */
export function startFirefox() {
  const executablePath = /** @type {string} */ (findFirefox());
  return puppeteer.launch({ browser: "firefox", executablePath, headless: true, extraPrefsFirefox: PREFERENCES });
}

/**
 * Opens a page, and collects what goes wrong in it.
 * @param {import("puppeteer-core").Browser} browser
 * @param {string} url
 */
export async function openInFirefox(browser, url) {
  const page = await browser.newPage();
  /** @type {string[]} */
  const faults = [];
  page.on("pageerror", (error) => {
    const text = String(/** @type {Error} */ (error).message ?? error);
    // It tells of every connection that fails, whatever the page does about it.
    if (!/(server at|connection to) wss?:/.test(text)) faults.push(text);
  });
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) faults.push(message.text());
  });
  await page.goto(url);
  return { page, faults };
}
