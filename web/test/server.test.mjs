/** The board and a real server, which comes and goes. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { startServer } from "../../wasm/npm/test/harness/server.js";
import { card, open, picture, publish, quiet, says, startSite, without } from "./harness.mjs";

const program = process.env.MIST_PROGRAM ?? fileURLToPath(new URL("../../target/debug/mist", import.meta.url));
const skip = without || (existsSync(program) ? false : `there is no server at ${program}: build it, or name one in MIST_PROGRAM`);

describe("the board on a server", { skip }, () => {
  let site;
  let server;
  before(async () => ([site, server] = await Promise.all([startSite(), startServer()])));
  after(() => Promise.all([site?.close(), server?.stop()]));

  /** Publishes from outside of the browser. */
  const post = async (tags, data) => {
    const answer = await fetch(`${server.http}/publish`, { method: "POST", body: JSON.stringify({ tags, data }) });
    assert.equal(answer.status, 200);
    return (await answer.json()).delivered;
  };

  test("gets messages of others, also after the server was away", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, `${site.url + quiet}&mode=server`);
    await page.fill("#server-url", server.ws);
    await page.click("#server-form button");
    await says(page, "#standing-text", /^Connected to 127/);
    await publish(page, ["red"], "from the page");
    await page.waitForSelector('.card:nth-child(2)[data-outcome="match"]');
    assert.equal(await post(["red", "blue"], "from a terminal"), 1);
    await page.waitForSelector('.card:nth-child(1)[data-outcome="match"]');
    await page.click(".row summary");
    await says(page, ".why-head", /^from another client of the server/);
    await page.click(".row summary");

    assert.deepEqual(faults, []);
    await server.kill();
    await says(page, "#standing-text", /again in \d+ s$/);
    await picture(page, "server-away");
    await publish(page, ["red"], "into the void");
    await says(page, ".row .score", /^Not published: /);
    await server.start();
    await says(page, "#standing-text", /^Connected to 127/);
    await post(["red"], "back again");
    await page.waitForFunction(() => document.querySelectorAll(".card .last")[1].textContent === "back again");
    assert.equal(await card(page, 1).locator(".count-figure").textContent(), "3");
    // In this tab the visitor has agreed to the server; so it is there again when the page is.
    await page.reload();
    await says(page, "#standing-text", /^Connected to 127/);
    // A browser reports each connection that is refused, whoever asked for it; the page adds nothing.
    assert.deepEqual(faults.filter((fault) => !/^error: WebSocket connection to .* failed: /.test(fault)), []);
    await visitor.close();
  });

  test("counts a flood, and shows what can be seen of it", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, `${site.url + quiet}&mode=server`);
    await page.fill("#server-url", server.ws);
    await page.click("#server-form button");
    await says(page, "#standing-text", /^Connected to 127/);
    const flood = ["publish", "--host", server.tcp, "--tags", "red", "--count", "20000", "drop"];
    await promisify(execFile)(program, flood);
    await page.waitForFunction(() => document.querySelectorAll(".count-figure")[1].textContent === "20000");
    assert.equal(await page.locator(".row").count(), 60, "the tape is bounded");
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("makes load there too", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, `${site.url + quiet}&mode=server&load=max,100,4`);
    await page.fill("#server-url", server.ws);
    await page.click("#server-form button");
    await says(page, "#standing-text", /^Connected to 127/);
    await page.click("#load-toggle");
    await says(page, "#figure-matches", /[1-9]/);
    await page.click("#load-toggle");
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("is live at once when the server serves the page", async (context) => {
    const served = await (await fetch(server.http)).text();
    if (!served.includes('id="cards"')) return context.skip("this server was built without the page");
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, `${server.http}/${quiet}`);
    await page.click('label[for="mode-server"]');
    await says(page, "#standing-text", /^Connected to 127/);
    await post(["red"], "hello");
    await page.waitForSelector('.card:nth-child(2)[data-outcome="match"]');
    await page.click('label[for="mode-page"]');
    await says(page, "#standing-text", /in this page/);
    await publish(page, ["green"], "inside");
    await page.waitForSelector('.card:nth-child(3)[data-outcome="match"]');
    await page.goBack();
    await says(page, "#standing-text", /^Connected to 127/);
    // The load's worker and the policy the server sends get along.
    await page.click("#load-toggle");
    await says(page, "#figure-matches", /[1-9]/);
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("says why a token is refused", async () => {
    const guarded = await startServer(["--authenticator", "memory://", "--token", "s3cret", "--access", "scoped"]);
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, `${site.url + quiet}&mode=server`);
    await page.fill("#server-url", guarded.ws);
    await page.click("#server-form button");
    await says(page, "#note", /^The broker says: .*(token|authori)/i);
    await page.fill("#server-token", "wrong");
    await page.click("#server-form button");
    await says(page, "#standing-text", /^Closed: .*token/);
    await page.fill("#server-token", "s3cret");
    await page.click("#server-form button");
    await says(page, "#standing-text", /^Connected to 127/);
    assert.ok(!page.url().includes("s3cret"), "a token is never in the link");
    assert.deepEqual(faults, []);
    await visitor.close();
    await guarded.stop();
  });
});
