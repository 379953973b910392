/** The board in a page that nothing stands behind but files. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { card, open, picture, publish, quiet, says, startSite, without } from "./harness.mjs";

describe("the board in this page", { skip: without }, () => {
  let site;
  before(async () => (site = await startSite()));
  after(() => site?.close());

  test("is alive on load, and logs nothing", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, site.url);
    await page.waitForSelector('.card[data-outcome="match"]');
    await page.waitForSelector('.card[data-outcome="near"] .chip[data-lamp="missing"]');
    await page.waitForSelector(".spark", { state: "attached" });
    assert.equal(await page.locator(".card").count(), 8);
    assert.equal(new URL(page.url()).hash, "", "a board that nobody has changed needs no hash");
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("lights a card with all its tags, and shows what others miss", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, site.url + quiet);
    await publish(page, ["red", "yellow"], "one");
    await page.waitForSelector('.card:nth-child(2)[data-outcome="match"]');
    await page.waitForSelector('.card:nth-child(1)[data-outcome="near"]');
    assert.deepEqual(await card(page, 0).locator('[data-lamp="lit"]').allTextContents(), ["red"]);
    assert.deepEqual(await card(page, 0).locator('[data-lamp="missing"]').allTextContents(), ["blue"]);
    assert.equal(await card(page, 1).locator(".count-figure").textContent(), "1");
    assert.equal(await card(page, 1).locator(".last").textContent(), "one");
    assert.equal(await card(page, 0).locator(".count-figure").textContent(), "0");
    assert.equal(await card(page, 2).getAttribute("data-outcome"), null, "a card that shares no tag stays dark");
    await page.waitForSelector(".card[data-outcome]", { state: "detached" });
    assert.equal(await page.locator("[data-lamp]:not(.legend *)").count(), 0, "the lamps go out again");
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("explains on the tape why each card did not get a message", async () => {
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

  test("can be used with the keyboard alone", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, site.url + quiet);
    const tabTo = async (selector) => {
      for (let presses = 0; presses < 80; presses += 1) {
        await page.keyboard.press("Tab");
        if (await page.evaluate((where) => document.activeElement?.matches(where), selector)) return;
      }
      assert.fail(`the Tab key does not reach ${selector}`);
    };
    const outlined = () => page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    await tabTo("#skip");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement?.id), "cards");
    await page.evaluate(() => document.activeElement.blur());

    await tabTo("#add-card");
    assert.notEqual(await outlined(), "none", "what has the focus is seen");
    await page.keyboard.press("Enter");
    await page.keyboard.type("red, night");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Escape");
    assert.deepEqual(await card(page, 3).locator("button.chip:not(.chip-add)").allTextContents(), ["red", "night"]);
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("Delete");
    assert.deepEqual(await card(page, 3).locator("button.chip:not(.chip-add)").allTextContents(), ["red"]);

    await tabTo("#composer-text");
    await page.keyboard.type("by hand");
    await page.keyboard.press("Enter");
    await says(page, ".row .score", /^delivered to 0 of 4/);
    await tabTo(".row summary");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".why");
    await page.evaluate(() => document.activeElement.blur());

    await tabTo(".card-remove");
    await page.keyboard.press("Enter");
    assert.equal(await page.locator(".card").count(), 3);
    assert.ok(await page.evaluate(() => document.activeElement?.matches(".card-remove")), "the focus is not lost");
    await tabTo("#note button");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelectorAll(".card").length === 4);
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("is shared by the tabs: the second follows, and drives when the first is gone", async () => {
    const visitor = await site.visitor();
    const board = "#cards=Reds:red&vehicles=Bus%201:red,line%3A1::Stop:1:on";
    const first = await open(visitor, site.url + board);
    await first.page.waitForSelector('.card[data-outcome="match"]');
    assert.ok(await first.page.locator("#following").isHidden());
    const second = await open(visitor, site.url + board);
    await second.page.waitForSelector("#following:not([hidden])");
    await second.page.waitForSelector('.card[data-outcome="match"]');
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
    const { page, faults } = await open(visitor, `${site.url}#cards=Caf%C3%A9%3A%20one%3B:a%2Cb,c%3Ad&vehicles=`);
    assert.equal(await page.locator(".name").inputValue(), "Café: one;");
    assert.deepEqual(await card(page, 0).locator("button.chip:not(.chip-add)").allTextContents(), ["a,b", "c:d"]);
    await page.click(".card-remove");
    await page.waitForSelector("#no-cards:not([hidden])");
    await page.goBack();
    await page.waitForFunction(() => document.querySelector(".name")?.value === "Café: one;");
    await page.goForward();
    await page.waitForSelector("#no-cards:not([hidden])");
    await page.click("#reset-cards");
    assert.equal(await page.locator(".card").count(), 8);

    for (const broken of ["#cards=%E0%A4%A", "#cards=a:b:c:d&mode=moon&load=x", "#%00=;;;", `#cards=${"x:y;".repeat(100)}`]) {
      await page.goto("about:blank");
      await page.goto(site.url + broken);
      await page.waitForSelector('#standing[data-phase="open"]');
      assert.equal(await page.locator(".card").count(), 8, broken);
      await says(page, "#note", /could not be read/);
    }
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("says a message and a card in other languages, quoted for a shell", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, site.url + quiet);
    const text = `it's "late" $HOME \`x\` \\ !`;
    await publish(page, ["red", "a b", "it's"], text);
    await page.click(".row summary");
    await page.click('.why-head button[aria-label^="Copy"]');
    const words = (command) =>
      execFileSync("sh", ["-c", `${command.replace(/^(mist|curl) /, `printf '%s\\0' `)}`], { encoding: "utf8" }).split("\0").slice(0, -1);
    const code = () => page.locator("#copy-code").textContent();
    assert.deepEqual(words(await code()), ["publish", "--tags", "a b,it's,red", "--data", text]);
    await page.keyboard.press("ArrowRight");
    const [flag, body, url] = words(await code());
    assert.deepEqual([flag, url], ["-d", "http://127.0.0.1:8888/publish"]);
    assert.deepEqual(JSON.parse(body), { tags: ["a b", "it's", "red"], data: text });
    await page.keyboard.press("ArrowRight");
    assert.match(await code(), /client\.publish\(\["a b", "it's", "red"\], "it's \\"late\\"/);
    await page.keyboard.press("ArrowRight");
    assert.match(await code(), /\.publish\(\["a b", "it's", "red"\], "it's \\"late\\" \$HOME `x` \\\\ !"\)/);
    await page.keyboard.press("Escape");
    await page.waitForSelector("#copy-as", { state: "hidden" });
    await card(page, 0).locator('button[aria-label^="Copy"]').click();
    await page.click("#copy-tab-cli");
    assert.deepEqual(words(await code()), ["subscribe", "--tags", "red,blue"]);
    await page.click("#copy-tab-curl");
    assert.deepEqual(words(await code()), ["-N", "http://127.0.0.1:8888/subscribe?tags=red,blue"]);
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("makes load, shows its figures, and stays usable", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, `${site.url + quiet}&load=max,10000,8`);
    await says(page, "#load-rate-text", "as fast as possible");
    await page.click("#load-toggle");
    await says(page, "#figure-matches", /\d/);
    await says(page, "#figure-p99", /ms$/);
    await publish(page, ["red"], "in between");
    await page.waitForSelector('.card:nth-child(2)[data-outcome="match"]');
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
    await page.waitForSelector('.card:nth-child(2)[data-outcome="match"]');
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
    await says(page, "#standing-text", /in this page/);
    await publish(page, ["red"], "all the same");
    await page.waitForSelector('.card:nth-child(2)[data-outcome="match"]');
    await page.goBack();
    await page.waitForSelector("#server-panel", { state: "hidden" });
    // A link alone does not make the page talk to somebody else's server.
    await page.goto("about:blank");
    await page.goto(`${site.url + quiet}&mode=server&server=ws%3A%2F%2Fexample.invalid`);
    await says(page, "#server-note", /asks for the server ws:\/\/example\.invalid/);
    await page.fill("#server-url", "ftp://example.invalid");
    await page.click("#server-form button");
    await says(page, "#standing-text", /^Closed: /);
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("fits a phone, where every control can be pressed", async () => {
    const visitor = await site.visitor({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    const { page, faults } = await open(visitor, site.url);
    await page.waitForSelector('.card[data-outcome="match"]');
    const width = () => page.evaluate(() => document.documentElement.scrollWidth);
    assert.equal(await width(), 360);
    await page.tap("#edit-vehicles");
    await page.locator(".vehicle-edit").first().tap();
    await page.tap("#load-toggle");
    // One that opens or removes something changes which others there are; so each is looked for again.
    const pressed = new Set();
    for (;;) {
      const name = await page.evaluate((known) => {
        const isOpen = document.querySelector("dialog[open]");
        const all = [...(isOpen ?? document).querySelectorAll("button, summary, .switch label")];
        for (const each of all) {
          const text = (each.getAttribute("aria-label") ?? each.textContent).trim() + (each.id || each.className);
          if (known.includes(text) || each.disabled || !each.checkVisibility({ visibilityProperty: true })) continue;
          each.scrollIntoView({ block: "center" });
          each.click();
          return text;
        }
        isOpen?.close();
        return isOpen ? "closed" : undefined;
      }, [...pressed]);
      if (name === undefined) break;
      pressed.add(name);
      assert.equal(await width(), 360, `after '${name}' the page is wider than the phone`);
    }
    assert.ok(pressed.size > 40, `only ${pressed.size} were found`);
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  for (const [name, options] of Object.entries({
    "desk-light": { colorScheme: "light" },
    "desk-dark": { colorScheme: "dark" },
    "wide-dark": { colorScheme: "dark", viewport: { width: 1920, height: 1080 } },
    "still-light": { colorScheme: "light", reducedMotion: "reduce" },
    "phone-light": { colorScheme: "light", viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
    "phone-dark": { colorScheme: "dark", viewport: { width: 360, height: 740 }, deviceScaleFactor: 2 },
  })) {
    test(`has its picture taken: ${name}`, async () => {
      const visitor = await site.visitor(options);
      const { page, faults } = await open(visitor, site.url);
      await page.locator(".row").nth(2).waitFor({ state: "attached" });
      await page.waitForSelector('.card[data-outcome="match"]');
      await picture(page, name);
      assert.deepEqual(faults, []);
      await visitor.close();
    });
  }
});
