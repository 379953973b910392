/** Owns that the page a server has built in works as the server serves it: under its policy, with its types. */

import { after, test } from "node:test";
import { equal } from "./harness/assert.js";
import { findChromium, openPage, startChromium } from "./harness/chromium.js";
import { startServer } from "./harness/server.js";
import { path } from "../scripts/places.js";

const server = await startServer();
after(() => server.kill());

const page = await (await fetch(server.http)).text();
const skip =
  (!page.includes('type="module"') && "this server was built without the page: cargo xtask web comes first") ||
  (findChromium() === undefined && "there is no Chromium here; MIST_CHROMIUM can name one");

for (const [name, url] of Object.entries({ http: server.http, ws: server.ws.replace("ws:", "http:") })) {
  test(`the page of the ${name} listener loads whole and has no faults`, { skip }, async () => {
    const browser = await startChromium();
    try {
      const context = await browser.newContext();
      /** @type {string[]} */
      const failed = [];
      context.on("response", (response) => void (response.ok() || failed.push(response.url())));
      const { page, faults } = await openPage(context, url);
      await page.locator("#subscribers > *").first().waitFor();
      equal(failed, []);
      await page.screenshot({ path: path(`../../artifacts/served-${name}.png`) });
      equal(faults, [], "nothing goes wrong in the page");
    } finally {
      await browser.close();
    }
  });
}
