/** The board in a page that nothing stands behind but files. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { open, publish, quiet, says, startSite, subscriber, without } from "./harness.mjs";

describe("the board in this page", { skip: without }, () => {
  let site;
  before(async () => (site = await startSite()));
  after(() => site?.close());

  test("is alive on load, and logs nothing", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, site.url);
    await page.waitForSelector('.subscriber[data-outcome="match"]');
    await page.waitForSelector('.subscriber[data-outcome="near"] .chip[data-lamp="missing"]');
    assert.equal(await page.locator(".subscriber").count(), 8);
    assert.equal(new URL(page.url()).hash, "", "a board that nobody has changed needs no hash");
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("lights a subscriber with all its tags, and shows what others miss", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, site.url + quiet);
    await publish(page, ["red", "yellow"], "one");
    await page.waitForSelector('.subscriber:nth-child(2)[data-outcome="match"]');
    await page.waitForSelector('.subscriber:nth-child(1)[data-outcome="near"]');
    assert.deepEqual(await subscriber(page, 0).locator('[data-lamp="lit"]').allTextContents(), ["red"]);
    assert.deepEqual(await subscriber(page, 0).locator('[data-lamp="missing"]').allTextContents(), ["blue"]);
    assert.equal(await subscriber(page, 1).locator(".count-figure").textContent(), "1");
    assert.equal(await subscriber(page, 1).locator(".last").textContent(), "one");
    assert.equal(await subscriber(page, 0).locator(".count-figure").textContent(), "0");
    assert.equal(await subscriber(page, 2).getAttribute("data-outcome"), null, "a subscriber that shares no tag stays dark");
    await page.waitForSelector(".subscriber[data-outcome]", { state: "detached" });
    assert.equal(await page.locator("[data-lamp]:not(.legend *)").count(), 0, "the lamps go out again");
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("tells of one message in slow motion first, and then the city runs", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, site.url, { opening: true });
    await says(page, "#opening", /^Bus 7 publishes one message, with the tags bus, line:7, district:north and late\.$/);
    const duration = (at) => page.evaluate((n) => document.querySelectorAll(".spark")[n]?.getAnimations()[0]?.effect.getTiming().duration, at);
    await page.waitForSelector(".spark", { state: "attached" });
    assert.ok((await duration(0)) > 1600, "the tags travel slowly");
    await says(page, "#opening", /^Late buses asks for bus and late: all of that is on the message, so it arrives\.$/);
    await page.waitForSelector('.subscriber:nth-child(1)[data-outcome="match"]');
    await says(page, "#opening", /^Night watch asks for night too\. That is missing, so it gets nothing\.$/);
    assert.equal(await page.locator(".row").count(), 1, "nothing else has spoken");
    await says(page, "#opening", "");
    await page.locator(".row").nth(1).waitFor();
    // Once is enough: not after the page is loaded again, nor for whoever does something.
    await page.reload();
    await page.locator(".row").nth(1).waitFor();
    assert.equal(await page.locator("#opening").textContent(), "");
    const other = await open(await site.visitor(), site.url, { opening: true });
    await says(other.page, "#opening", /^Bus 7/);
    await other.page.keyboard.press("Shift");
    await says(other.page, "#opening", "");
    assert.deepEqual([...faults, ...other.faults], []);
    await visitor.close();
    await other.page.context().close();
  });

  test("says who would get a message while its tags are chosen, and who got it once that is known", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, site.url + quiet);
    await says(page, "#composer-preview", /^Nobody asks for these tags/);
    await page.click("#composer-tags .chip-add");
    await page.keyboard.type("red");
    await page.keyboard.press("Enter");
    await says(page, "#composer-preview", "Would reach 1 of 3: B\\.");
    assert.deepEqual(await page.locator('.subscriber[data-preview="true"] .name').allTextContents(), ["B"]);
    await page.keyboard.type("blue");
    await page.keyboard.press("Enter");
    await says(page, "#composer-preview", "Would reach 2 of 3: A, B\\.");
    await page.keyboard.press("Escape");
    await page.evaluate(() => {
      globalThis.heard = [];
      const live = document.querySelector("#live");
      new MutationObserver(() => globalThis.heard.push(live.textContent)).observe(live, { childList: true });
    });
    await page.click("#composer button[type=submit]");
    await says(page, "#composer-outcome", "Published: 2 of 3 got it\\.");
    assert.deepEqual(await page.evaluate(() => globalThis.heard), ["Published: 2 of 3 subscribers got it."]);
    await page.evaluate(() => document.activeElement.blur());
    assert.equal(await page.locator('.subscriber[data-preview="true"]').count(), 0);
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("says that something was removed where it was, and takes it back there", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, site.url + quiet);
    const box = await subscriber(page, 1).boundingBox();
    await subscriber(page, 1).locator(".subscriber-remove").click();
    await says(page, ".gone", /^Removed “B”\./);
    const gone = await page.locator(".gone").boundingBox();
    assert.deepEqual([gone.x, gone.y, gone.width], [box.x, box.y, box.width], "it covers nothing");
    assert.equal(await page.locator(".subscriber").count(), 2);
    await page.click(".gone button");
    assert.deepEqual(await page.locator(".name").allTextContents(), ["A", "B", "C"]);
    assert.equal(await page.locator(".gone").count(), 0);
    await publish(page, ["red"], "again");
    await page.waitForSelector('.subscriber:nth-child(2)[data-outcome="match"]');
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("explains on the tape why each subscriber did not get a message", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, site.url + quiet);
    await publish(page, ["red"], "why");
    await says(page, ".row .score", /^delivered to 1 of 3: why not the others\?$/);
    await page.click(".row summary");
    const lines = page.locator(".why li");
    await lines.first().waitFor();
    assert.deepEqual(await lines.locator(".why-name").allTextContents(), ["B", "A", "C"]);
    assert.deepEqual(await lines.nth(1).locator('[data-lamp="missing"]').allTextContents(), ["missing: blue"]);
    assert.deepEqual(await lines.nth(2).locator('[data-lamp="missing"]').allTextContents(), ["missing: green"]);
    // While one is open, newer ones wait.
    await publish(page, ["violet"], "later");
    await says(page, "#tape-held", "1 newer message");
    assert.equal(await page.locator(".row").count(), 1);
    await page.click("#tape-held");
    await says(page, ".row .row-text", "later");
    await says(page, ".row .score", /^delivered to 0 of 3/);
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("is shared by the tabs: the second follows, and lets them speak when the first is gone", async () => {
    const visitor = await site.visitor();
    const board = "#subscribers=Reds:red&publishers=Bus%201:red,line%3A1::Stop:1:on";
    const first = await open(visitor, site.url + board);
    await first.page.waitForSelector('.subscriber[data-outcome="match"]');
    assert.ok(await first.page.locator("#following").isHidden());
    const second = await open(visitor, site.url + board);
    await second.page.waitForSelector("#following:not([hidden])");
    await second.page.waitForSelector('.subscriber[data-outcome="match"]');
    await second.page.click(".row summary");
    await says(second.page, ".why-head", /^from Bus 1, in another tab/);
    await second.page.click(".row summary");
    // What is published in the second is seen in the first.
    await publish(second.page, ["red", "by-hand"], "from the second tab");
    await first.page.waitForFunction(() => document.querySelector("#tape").textContent.includes("from the second tab"));
    await first.page.close();
    await second.page.waitForSelector("#following", { state: "hidden" });
    await second.page.click("#clear-tape");
    await says(second.page, ".row .score", /^delivered to 1 of 1/);
    assert.deepEqual([...first.faults, ...second.faults], []);
    await visitor.close();
  });

  test("is in its link: shared, gone back from, and not hurt by a broken one", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, `${site.url}#subscribers=Caf%C3%A9%3A%20one%3B:a%2Cb,c%3Ad&publishers=`);
    assert.equal(await page.locator(".name").textContent(), "Café: one;");
    assert.deepEqual(await subscriber(page, 0).locator("button.chip:not(.chip-add)").allTextContents(), ["a,b", "c:d"]);
    await page.click(".subscriber-remove");
    await page.waitForSelector("#no-subscribers:not([hidden])");
    await page.goBack();
    await page.waitForFunction(() => document.querySelector(".name")?.textContent === "Café: one;");
    await page.goForward();
    await page.waitForSelector("#no-subscribers:not([hidden])");
    await page.click("#reset-subscribers");
    assert.equal(await page.locator(".subscriber").count(), 8);

    // A link says which tags the board opens with.
    await page.goto("about:blank");
    await page.goto(`${site.url}#subscribers=Orders:orders,eu&tags=orders,eu,7`);
    await page.waitForSelector('#standing[data-phase="open"]');
    await says(page, "#composer-preview", "Would reach 1 of 1: Orders\\.");
    assert.equal(await page.locator(".publisher").count(), 0, "nobody speaks on a board with other subscribers");
    await page.click("#reset-publishers");
    await page.waitForFunction(() => location.hash.endsWith("publishers=city&tags=orders,eu,7"));
    await page.reload();
    await page.waitForSelector('#standing[data-phase="open"]');
    assert.equal(await page.locator(".publisher").count(), 6);

    for (const broken of ["#subscribers=%E0%A4%A", "#subscribers=a:b:c:d&mode=moon&load=x", "#server=not%20a%20url", "#%00=;;;", `#subscribers=${"x:y;".repeat(100)}`]) {
      await page.goto("about:blank");
      await page.goto(site.url + broken);
      await page.waitForSelector('#standing[data-phase="open"]');
      assert.equal(await page.locator(".subscriber").count(), 8, broken);
      await says(page, "#note", /could not be read/);
    }
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("says a message and a subscriber in other languages, quoted for a shell", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, site.url + quiet);
    const text = `it's "late" $HOME \`x\` \\ !`;
    await publish(page, ["red", "a b", "it's"], text);
    await page.click(".row summary");
    await page.click('.why-head button[aria-label^="Copy"]');
    const words = (command) =>
      execFileSync("sh", ["-c", `${command.replace(/^(mist|curl) /, `printf '%s\\0' `)}`], { encoding: "utf8" }).split("\0").slice(0, -1);
    const code = () => page.locator("#copy-code").textContent();
    // The broker of this board is in the browser: what makes one like it comes first, and runs.
    assert.match(await code(), /^import \{ Broker \} from "mist-pubsub";/);
    assert.match(await code(), /\["a b", "it's", "red"\], "it's \\"late\\" \$HOME `x` \\\\ !"/);
    await says(page, "#copy-advice", /in your browser\. This makes one like it/);
    await page.keyboard.press("ArrowRight");
    assert.deepEqual(words(await code()), ["publish", "--tags", "a b,it's,red", "--data", text]);
    await says(page, "#copy-advice", /no other program reaches it\. This is for a server at ws:\/\/127\.0\.0\.1:8888: start one/);
    await page.keyboard.press("ArrowRight");
    const [flag, body, url] = words(await code());
    assert.deepEqual([flag, url], ["-d", "http://127.0.0.1:8888/publish"]);
    assert.deepEqual(JSON.parse(body), { tags: ["a b", "it's", "red"], data: text });
    await page.keyboard.press("ArrowRight");
    assert.match(await code(), /\.publish\(\["a b", "it's", "red"\], "it's \\"late\\" \$HOME `x` \\\\ !"\)/);
    await page.keyboard.press("ArrowRight");
    assert.equal(await code(), `${site.url}#tags=a%20b,it's,red`);
    await page.keyboard.press("Escape");
    await page.waitForSelector("#copy-as", { state: "hidden" });
    await page.click('button[aria-label="Copy A as a command or code"]');
    assert.equal(await code(), `${site.url}#subscribers=A:red,blue&tags=red,blue`);
    await page.click("#copy-tab-cli");
    assert.deepEqual(words(await code()), ["subscribe", "--tags", "red,blue"]);
    await page.click("#copy-tab-curl");
    assert.deepEqual(words(await code()), ["-N", "http://127.0.0.1:8888/subscribe?tags=red,blue"]);
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("makes load, shows its figures, and stays usable", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, `${site.url + quiet}&load=1,0,1`);
    await page.click(".preset >> text=All it can");
    assert.equal(await page.locator('.preset[aria-pressed="true"]').count(), 1);
    await page.click(".fine summary");
    await says(page, "#load-rate-text", "as fast as possible");
    await page.click("#load-toggle");
    await says(page, "#figure-matches", /\d/);
    await says(page, "#figure-p99", /ms$/);
    await says(page, "#load-result", /^[\d,.M ]+ messages a second, among 1,000 subscriptions, made [\d,.M ]+ deliveries\. Half of them arrived within .* ms, 99 of 100 within .* ms\.$/);
    await publish(page, ["red"], "in between");
    await page.waitForSelector('.subscriber:nth-child(2)[data-outcome="match"]');
    const drawn = () =>
      page.evaluate(() => {
        const canvas = document.querySelector("#chart");
        return new Set(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).size;
      });
    assert.ok((await drawn()) > 8, "the chart is not empty");
    for (const [slider, text] of [["#load-rate", /1 messages/], ["#load-subscriptions", /0 subscriptions/], ["#load-tags", /1 tag per/]]) {
      await page.focus(slider);
      await page.keyboard.press("Home");
      await says(page, `${slider}-text`, text);
    }
    await page.waitForFunction(() => location.hash.includes("load=1,0,1"));
    await page.click("#load-toggle");
    await says(page, "#load-toggle", "Start the load");
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("moves nothing for those who want no motion", async () => {
    const visitor = await site.visitor({ reducedMotion: "reduce" });
    const { page, faults } = await open(visitor, site.url + quiet);
    await page.evaluate(() => {
      globalThis.moved = 0;
      new MutationObserver((changes) => (globalThis.moved += changes.length)).observe(document.querySelector("#sky"), { childList: true });
    });
    await publish(page, ["red"], "still");
    await page.waitForSelector('.subscriber:nth-child(2)[data-outcome="match"]');
    assert.equal(await page.evaluate(() => globalThis.moved), 0);
    assert.equal(await page.locator(".ring").count(), 0);
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("explains that there is no server, and goes on in the page", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, site.url + quiet);
    await page.click('label[for="mode-server"]');
    await says(page, "#server-note", /plain file server/);
    await says(page, "#standing-text", /in this browser/);
    await publish(page, ["red"], "all the same");
    await page.waitForSelector('.subscriber:nth-child(2)[data-outcome="match"]');
    await page.goBack();
    await page.waitForSelector("#server-panel", { state: "hidden" });
    // A link alone does not make the page talk to somebody else's server.
    await page.goto("about:blank");
    await page.goto(`${site.url + quiet}&mode=server&server=ws%3A%2F%2Fexample.invalid`);
    await says(page, "#server-note", /asks for the server ws:\/\/example\.invalid/);
    for (const wrong of ["ftp://example.invalid", "not a url", "ws://", "ws://a:b:c"]) {
      await page.fill("#server-url", wrong);
      await page.click("#server-form button");
      await says(page, "#server-error", `“${wrong}” is not the address of a server\\. One looks like ws://127\\.0\\.0\\.1:8888\\.`);
      assert.equal(await page.getAttribute("#server-url", "aria-invalid"), "true");
    }
    await says(page, "#standing-text", /in this browser/);
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("is there again without a network, as long as its broker is in the browser", async (context) => {
    const own = await startSite();
    context.after(() => own.close());
    const visitor = await own.visitor();
    const { page, faults } = await open(visitor, own.url + quiet);
    await page.evaluate(async () => void (await navigator.serviceWorker.ready));
    await own.stop();
    await page.reload();
    await page.waitForSelector('#standing[data-phase="open"]');
    await publish(page, ["red"], "offline");
    await says(page, "#composer-outcome", "Published: 1 of 3 got it\\.");
    // The load's worker is a file of its own, which nobody had asked for yet.
    await page.click("#load-toggle");
    await says(page, "#figure-matches", /\d/);
    await page.click("#load-toggle");
    // On a server there is nothing to keep.
    await page.click('label[for="mode-server"]');
    await page.fill("#server-url", "ws://127.0.0.1:9");
    await page.click("#server-form button");
    await page.waitForSelector("#away:not([hidden])");
    await page.click("#go-home");
    await says(page, "#standing-text", /in this browser/);
    assert.deepEqual(faults.filter((fault) => !/^(error|warning): WebSocket connection to .* failed: /.test(fault)), []);
  });
});
