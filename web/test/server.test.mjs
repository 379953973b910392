/** The board and a real server, which comes and goes. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createConnection } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { startServer } from "../../wasm/npm/test/harness/server.js";
import { open, picture, publish, quiet, says, startSite, subscriber, without } from "./harness.mjs";

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
    await page.waitForSelector('.subscriber:nth-child(2)[data-outcome="match"]');
    assert.equal(await post(["red", "blue"], "from a terminal"), 1);
    await page.waitForSelector('.subscriber:nth-child(1)[data-outcome="match"]');
    await page.click(".row summary");
    await says(page, ".why-head", /^from another client of the server/);
    await page.click(".row summary");

    assert.deepEqual(faults, []);
    await server.kill();
    // It is said once, in the middle of the board.
    await says(page, "#away-what", /^No connection to 127/);
    await says(page, "#away-when", /^Trying again/);
    await says(page, "#standing-text", "Not connected");
    await says(page, "#composer-preview", /^It would reach nobody now/);
    await says(page, "#server-note", /^Until the server is back/);
    assert.equal(await page.locator(".subscriber[data-outcome]").count(), 0, "nothing shines");
    await page.setViewportSize({ width: 390, height: 844 });
    for (const where of ["#away-what", "#try-again"]) {
      const { y, height } = await page.locator(where).boundingBox();
      assert.ok(y >= 0 && y + height <= 844, `${where} is in sight on a phone: ${y}`);
    }
    assert.ok(await page.locator("#ticker").isHidden(), "no newest message is told");
    await picture(page, "server-away-phone");
    await page.setViewportSize({ width: 1440, height: 900 });
    const seen = await page.evaluate(() => document.querySelector(".top").innerText + document.querySelector("main").innerText);
    assert.equal(seen.match(/no connection to/gi).length, 1);
    await picture(page, "server-away");
    await page.evaluate(() => {
      globalThis.heard = [];
      globalThis.flown = 0;
      const live = document.querySelector("#live");
      new MutationObserver(() => globalThis.heard.push(live.textContent)).observe(live, { childList: true });
      new MutationObserver((all) => (globalThis.flown += all.length)).observe(document.querySelector("#sky"), { childList: true });
    });
    await publish(page, ["red"], "into the void");
    await says(page, ".row .score", /^Not published: /);
    await says(page, "#composer-error", /^Not published: /);
    const [heard, flown] = await page.evaluate(() => [globalThis.heard, globalThis.flown]);
    assert.deepEqual([heard.filter((text) => !text.startsWith("Not published: ")), flown], [[], 0], "no success is told");
    await server.start();
    await says(page, "#standing-text", /^Connected to 127/);
    await post(["red"], "back again");
    await page.waitForFunction(() => document.querySelectorAll(".subscriber .last")[1].textContent === "back again");
    assert.equal(await subscriber(page, 1).locator(".count-figure").textContent(), "3");
    // In this tab the visitor has agreed to the server; so it is there again when the page is.
    await page.reload();
    await says(page, "#standing-text", /^Connected to 127/);
    // A browser reports each connection that is refused, whoever asked for it; the page adds nothing.
    assert.deepEqual(faults.filter((fault) => !/^(error|warning): WebSocket connection to .* failed: /.test(fault)), []);
    await visitor.close();
  });

  test("counts a flood, and shows what can be seen of it", async (context) => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, `${site.url + quiet}&mode=server`);
    await page.fill("#server-url", server.ws);
    await page.click("#server-form button");
    await says(page, "#standing-text", /^Connected to 127/);
    const socket = createConnection(Number(new URL(server.tcp).port), "127.0.0.1");
    await once(socket, "connect");
    const line = `${JSON.stringify({ command: "publish", tags: ["red"], data: "drop" })}\n`;
    const drip = setInterval(() => socket.write(line.repeat(20)), 40);
    context.after(() => clearInterval(drip));
    await page.waitForSelector("#flood:not([hidden])");
    await says(page, "#flood-rate", /^\d{2,}$/);
    await page.waitForSelector(".gap");
    assert.equal(await page.locator(".spark, .subscriber[data-outcome]").count(), 0, "nothing moves, and nothing is lit");
    clearInterval(drip);
    socket.write(line.repeat(20_000));
    socket.end();
    await page.waitForFunction(() => Number(document.querySelectorAll(".count-figure")[1].textContent.replace(",", "")) >= 20_000);
    await page.waitForSelector("#flood", { state: "hidden" });
    assert.ok((await page.locator(".row").count()) <= 60, "the tape is bounded");
    await post(["red"], "one more");
    await page.waitForSelector('.subscriber:nth-child(2)[data-outcome="match"]');
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
    if (!served.includes('id="subscribers"')) return context.skip("this server was built without the page");
    const visitor = await site.visitor();
    const codings = [];
    visitor.on("response", async (answer) => codings.push([new URL(answer.url()).pathname, (await answer.allHeaders())["content-encoding"]]));
    const { page, faults } = await open(visitor, `${server.http}/${quiet}`);
    const compressed = codings.filter(([path]) => /^\/$|\.(js|css|wasm)$/.test(path));
    assert.ok(compressed.length >= 4 && compressed.every(([, coding]) => coding === "br"), JSON.stringify(codings));
    await page.click('label[for="mode-server"]');
    await says(page, "#standing-text", /^Connected to 127/);
    await post(["red"], "hello");
    await page.waitForSelector('.subscriber:nth-child(2)[data-outcome="match"]');
    await page.click('label[for="mode-page"]');
    await says(page, "#standing-text", /in this browser/);
    await publish(page, ["green"], "inside");
    await page.waitForSelector('.subscriber:nth-child(3)[data-outcome="match"]');
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
    await says(page, "#away-what", /does not let this page in/);
    await says(page, "#away-why", /present a token/);
    await page.click("#try-again >> text=Enter a token");
    await page.keyboard.type("wrong");
    await page.keyboard.press("Enter");
    await says(page, "#away-why", /token is not valid/);
    assert.ok(await page.locator("#note").isHidden(), "it is said once");
    await page.click("#try-again >> text=Enter another token");
    assert.ok(await page.evaluate(() => document.activeElement.id === "server-token"));
    await page.fill("#server-token", "s3cret");
    await page.click("#server-form button");
    await says(page, "#standing-text", /^Connected to 127/);
    assert.ok(!page.url().includes("s3cret"), "a token is never in the link");
    // The browser warns of the one connection that was not open yet when the other was refused.
    assert.deepEqual(faults.filter((fault) => !/^(error|warning): WebSocket connection to .* failed: /.test(fault)), []);
    await visitor.close();
    await guarded.stop();
  });

  test("says of each subscriber that its token gives it nothing", async () => {
    const guarded = await startServer(["--authenticator", "memory://", "--token", "s3cret", "--access", "scoped"]);
    const admin = await adminOf(guarded);
    await admin({ command: "register", data: "editor", tags: ["red"] });
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, `${site.url + quiet}&tags=red&mode=server`);
    await page.fill("#server-url", guarded.ws);
    await page.fill("#server-token", "editor");
    await page.click("#server-form button");
    await says(page, "#note", "Refused C: the token grants none of these tags\\.");
    assert.deepEqual(await page.locator('.subscriber[data-barred="true"] .name').allTextContents(), ["C"]);
    await says(page, '.subscriber[data-barred="true"] .refusal', "Refused: the token grants none of these tags\\.");
    await publish(page, ["red"], "granted");
    await says(page, "#composer-outcome", "Published: 1 of 2 got it\\.");
    await admin({ command: "set", data: "editor", tags: ["green"] });
    await page.fill("#server-token", "editor");
    await page.click("#server-form button");
    await page.waitForSelector('.subscriber[data-barred="true"]', { state: "detached" });
    await admin({ command: "unset", data: "editor", tags: ["green"] });
    await says(page, '.subscriber[data-barred="true"] .refusal', /^Refused: /);
    assert.deepEqual(faults, []);
    await visitor.close();
    await guarded.stop();
  });

  test("asks whether there is a server, and says that a page needs another port than tcp's", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, `${site.url + quiet}&mode=server`);
    await page.fill("#server-url", new URL(server.tcp).host);
    await page.click("#server-form button");
    await says(page, "#away-why", /^Cannot reach 127.* Is there a mist server at 127.*, and is it the port of ws or http, not of tcp\?$/);
    await page.fill("#server-url", "127.0.0.1:1445");
    await page.click("#server-form button");
    await says(page, "#away-why", /^Cannot reach 127.* Port 1445 is a server’s for tcp: a page needs that of ws or http, such as 8888\.$/);
    assert.deepEqual(faults.filter((fault) => !/^(error|warning): WebSocket connection to .* failed: /.test(fault)), []);
    await visitor.close();
  });

  test("says so when its token is taken away, and goes on with the next", async () => {
    const guarded = await startServer(["--authenticator", "memory://", "--token", "s3cret", "--access", "scoped"]);
    const admin = await adminOf(guarded);
    await admin({ command: "register", data: "first", tags: ["red"] });
    await admin({ command: "register", data: "second", tags: ["red"] });
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, `${site.url}#subscribers=Reds:red&publishers=&tags=red&mode=server`);
    await page.fill("#server-url", guarded.ws);
    await page.fill("#server-token", "first");
    await page.click("#server-form button");
    await says(page, "#standing-text", /^Connected to 127/);
    await admin({ command: "end", data: "first" });
    await page.waitForSelector("#away:not([hidden])");
    await says(page, "#away-why", /token/);
    await page.fill("#server-token", "second");
    await page.click("#server-form button");
    await says(page, "#standing-text", /^Connected to 127/);
    await publish(page, ["red"], "rotated");
    await says(page, "#composer-outcome", "Published: 1 of 1 got it\\.");
    assert.deepEqual(faults, []);
    await visitor.close();
    await guarded.stop();
  });

  test("has counted what came while its tab was asleep", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, `${site.url + quiet}&mode=server`);
    await page.fill("#server-url", server.ws);
    await page.click("#server-form button");
    await says(page, "#standing-text", /^Connected to 127/);
    const tools = await visitor.newCDPSession(page);
    await tools.send("Page.setWebLifecycleState", { state: "frozen" });
    for (let count = 0; count < 30; count += 1) await post(["red"], `asleep ${count}`);
    await tools.send("Page.setWebLifecycleState", { state: "active" });
    await page.waitForFunction(() => document.querySelectorAll(".count-figure")[1].textContent === "30");
    await post(["red"], "awake");
    await page.waitForFunction(() => document.querySelectorAll(".subscriber .last")[1].textContent === "awake");
    assert.deepEqual(faults, []);
    await visitor.close();
  });
});

/** Asks as the server's administrator; each question waits for its answer. */
async function adminOf(server) {
  const socket = createConnection(Number(new URL(server.tcp).port), "127.0.0.1");
  const lines = createInterface(socket)[Symbol.asyncIterator]();
  const ask = async (command) => {
    socket.write(`${JSON.stringify({ ...command, id: 1 })}\n`);
    const answer = JSON.parse((await lines.next()).value);
    assert.equal(answer.error, undefined);
  };
  socket.unref();
  await ask({ command: "auth", data: "s3cret" });
  return ask;
}
