/** The board for everybody: by keyboard, by ear, with a finger, in few pixels, in forced colours, without scripts. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import axe from "axe-core";
import { open, picture, publish, quiet, says, startSite, subscriber, without } from "./harness.mjs";

describe("the board for everybody", { skip: without }, () => {
  let site;
  before(async () => (site = await startSite()));
  after(() => site?.close());

  /** What axe finds wrong, in words. */
  const findings = async (page, state) => {
    await page.evaluate(axe.source);
    const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    return found.violations.flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${state}: ${id} at ${target}: ${failureSummary}`),
    );
  };

  test("can be used with the keyboard alone", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, site.url + quiet);
    const has = (where) => page.evaluate((selector) => document.activeElement?.matches(selector), where);
    const tabTo = async (selector) => {
      for (let presses = 0; presses < 40; presses += 1) {
        await page.keyboard.press("Tab");
        if (await has(selector)) return;
      }
      assert.fail(`the Tab key does not reach ${selector}`);
    };
    const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent);
    const outlined = () => page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    await tabTo("#skip");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement?.id), "subscribers");

    // A subscriber is one stop; in it the arrow keys move.
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "A");
    assert.notEqual(await outlined(), "none", "what has the focus is seen");
    const names = [];
    for (const key of ["ArrowRight", "ArrowDown", "ArrowRight", "ArrowRight", "End"]) {
      await page.keyboard.press(key);
      names.push(await focused());
    }
    const [red, blue] = ["red", "blue"].map((tag) => `${tag}, tag of A: edit`);
    assert.deepEqual(names, [red, blue, "Add a tag to A", "Copy A as a command or code", "Remove A"]);
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "B", "the next stop is the next subscriber");
    await page.keyboard.press("Shift+Tab");
    assert.equal(await focused(), "A");
    await page.keyboard.press("Enter");
    await page.keyboard.type("Blues");
    await page.keyboard.press("Enter");
    assert.equal(await focused(), "Blues");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Delete");
    assert.equal(await focused(), "blue, tag of Blues: edit");
    await page.keyboard.press("End");
    await page.keyboard.press("Enter");
    assert.equal(await page.locator(".subscriber").count(), 2);
    assert.equal(await focused(), "Undo");
    await page.keyboard.press("Enter");
    assert.equal(await focused(), "Remove Blues");

    await page.evaluate(() => document.activeElement.blur());
    await tabTo("#add-subscriber");
    await page.keyboard.press("Enter");
    await page.keyboard.type("red, night");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Escape");
    assert.deepEqual(await subscriber(page, 3).locator("button.chip:not(.chip-add)").allTextContents(), ["red", "night"]);

    await page.evaluate(() => document.activeElement.blur());
    await tabTo("#composer-text");
    await page.keyboard.type("by hand");
    await page.keyboard.press("Enter");
    await says(page, ".row .score", /^delivered to 0 of 4/);
    await page.keyboard.press("Enter");
    await page.locator(".row").nth(1).waitFor();
    await tabTo(".row summary");
    await page.keyboard.press("ArrowDown");
    assert.ok(await has(".row:nth-child(2) summary"), "the tape is one stop");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".row:nth-child(2) .why");
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("has few stops for the Tab key", async () => {
    const visitor = await site.visitor();
    const { page, faults } = await open(visitor, site.url);
    await page.locator(".row").nth(1).waitFor();
    const stops = await page.evaluate(
      () =>
        [...document.querySelectorAll("a[href], button, input, textarea, summary, [tabindex]")].filter(
          (each) => each.tabIndex >= 0 && !each.disabled && each.checkVisibility({ visibilityProperty: true }),
        ).length,
    );
    assert.ok(stops <= 45, `${stops} stops`);
    const stopsIn = (where) => page.locator(`${where} button`).evaluateAll((all) => all.filter((each) => each.tabIndex === 0 && each.checkVisibility()).length);
    assert.deepEqual([await stopsIn(".subscriber"), await stopsIn(".publisher")], [8, 6], "one each");
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  for (const colorScheme of ["light", "dark"]) {
    test(`is accessible in each of its states, ${colorScheme}`, async () => {
      const visitor = await site.visitor({ colorScheme, reducedMotion: "reduce" });
      const { page, faults } = await open(visitor, site.url, { opening: true });
      const found = [];
      const look = async (state) => found.push(...(await findings(page, `${colorScheme}, ${state}`)));
      await page.waitForSelector('.subscriber[data-outcome="match"]');
      await look("the opening");
      await page.keyboard.press("Escape");
      await page.click("#all-publishers");
      await page.locator(".publisher-edit").first().click();
      await page.click("#composer-tags .chip-add");
      await publish(page, ["bus", "late", "x".repeat(120)], "a long tag");
      await page.waitForSelector('.subscriber[data-outcome="match"]');
      await page.click(".row summary");
      await page.locator(".why").waitFor();
      await look("a message explained, a publisher edited");
      await page.click('.why-head button[aria-label^="Copy"]');
      await look("the dialog");
      await page.click("#copy-close");
      for (let left = 8; left > 0; left -= 1) await page.locator(".subscriber-remove").first().click();
      await page.click(".fine summary");
      await look("no subscribers");
      await page.click('label[for="mode-server"]');
      await page.fill("#server-url", "not a url");
      await page.click("#server-form button");
      await look("a wrong address");
      await page.click("#reset-subscribers");
      await page.fill("#server-url", "ws://127.0.0.1:9");
      await page.click("#server-form button");
      await page.waitForSelector("#away:not([hidden])");
      await look("no connection");
      await picture(page, `away-${colorScheme}`);
      await page.setViewportSize({ width: 390, height: 844 });
      await page.click("#go-home");
      await says(page, "#standing-text", /in this browser/);
      await look("a phone");
      assert.deepEqual(found, []);
      assert.deepEqual(faults.filter((fault) => !/^(error|warning): WebSocket connection to .* failed: /.test(fault)), []);
      await visitor.close();
    });
  }

  test("keeps its lamps in forced colours", async () => {
    const visitor = await site.visitor({ forcedColors: "active", reducedMotion: "reduce" });
    const { page, faults } = await open(visitor, site.url + quiet);
    await publish(page, ["red"], "forced");
    await page.waitForSelector('.subscriber:nth-child(2)[data-outcome="match"]');
    const colour = (selector) => page.evaluate((where) => getComputedStyle(document.querySelector(where)).backgroundColor, selector);
    assert.equal(await colour(".subscriber:nth-child(1) .chip[data-lamp=lit]"), "rgb(255, 197, 49)");
    assert.notEqual(await colour(".switch input:checked + label"), await colour(".switch input:not(:checked) + label"));
    await picture(page, "forced-colours");
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("says without scripts what mist is, and where there is more", async () => {
    const visitor = await site.visitor({ javaScriptEnabled: false });
    const page = await visitor.newPage();
    await page.goto(site.url);
    assert.ok(await page.locator("h1").isVisible());
    assert.ok(await page.locator("noscript").isVisible());
    assert.ok(await page.locator("#install").isVisible());
    const ways = await page.locator(".ways a").evaluateAll((all) => all.map((each) => each.href));
    assert.deepEqual(ways.map((way) => new URL(way).host), ["github.com", "github.com", "github.com"]);
    assert.equal(await page.locator("button:visible, input:visible").count(), 0, "nothing is there that does nothing");
    await picture(page, "no-script");
    await visitor.close();
  });

  test("fits a phone, where every control can be pressed with a finger", async () => {
    const visitor = await site.visitor({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    const { page, faults } = await open(visitor, site.url);
    await page.waitForSelector('.subscriber[data-outcome="match"]');
    assert.deepEqual(await page.locator(".speak:visible").allTextContents(), ["Bus 7", "Bus 12", "Tram 4", "Night bus N2", "Ferry 1", "Tram 9"]);
    assert.ok(await page.locator("#ticker").isVisible());
    await says(page, "#ticker-text", /^Bus 7: Mill Lane$/);
    const width = () => page.evaluate(() => document.documentElement.scrollWidth);
    assert.equal(await width(), 360);
    await page.tap("#edit-publishers");
    await page.locator(".publisher-edit").first().tap();
    await page.tap("#load-toggle");
    // One that opens or removes something changes which others there are; so each is looked for again.
    const pressed = new Set();
    const small = new Set();
    for (;;) {
      const next = await page.evaluate((known) => {
        const isOpen = document.querySelector("dialog[open]");
        const all = [...(isOpen ?? document).querySelectorAll("button, summary, .switch label, .ways a")];
        for (const each of all) {
          const text = (each.getAttribute("aria-label") ?? each.textContent).trim() + (each.id || each.className);
          if (known.includes(text) || each.disabled || !each.checkVisibility({ visibilityProperty: true })) continue;
          each.scrollIntoView({ block: "center" });
          const { width, height } = each.getBoundingClientRect();
          if (!each.href) each.click();
          return { text, isSmall: Math.min(width, height) < 43.9 };
        }
        isOpen?.close();
        return isOpen ? { text: "closed" } : undefined;
      }, [...pressed]);
      if (next === undefined) break;
      pressed.add(next.text);
      if (next.isSmall) small.add(next.text);
      assert.equal(await width(), 360, `after '${next.text}' the page is wider than the phone`);
    }
    assert.ok(pressed.size > 40, `only ${pressed.size} were found`);
    assert.deepEqual([...small], [], "smaller than a finger");
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  test("has two columns from 700 pixels on, and ends long tags with an ellipsis", async () => {
    const visitor = await site.visitor({ viewport: { width: 700, height: 900 } });
    const { page, faults } = await open(visitor, `${site.url}#subscribers=Long:${"long".repeat(25)};Short:s&publishers=`);
    const columns = () => page.evaluate(() => getComputedStyle(document.querySelector("main")).gridTemplateColumns.split(" ").length);
    assert.equal(await columns(), 2);
    const chip = page.locator(".subscriber .chip").first();
    assert.ok(await chip.evaluate((each) => each.scrollWidth > each.clientWidth && getComputedStyle(each).textOverflow === "ellipsis"));
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 700);
    await page.setViewportSize({ width: 699, height: 900 });
    assert.equal(await columns(), 1);
    assert.deepEqual(faults, []);
    await visitor.close();
  });

  for (const [name, options] of Object.entries({
    "desk-light": { colorScheme: "light" },
    "wide-dark": { colorScheme: "dark", viewport: { width: 1920, height: 1080 } },
    "tablet-dark": { colorScheme: "dark", viewport: { width: 768, height: 1024 } },
    "phone-light": { colorScheme: "light", viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
  })) {
    test(`has its picture taken: ${name}`, async () => {
      const visitor = await site.visitor(options);
      const { page, faults } = await open(visitor, site.url);
      await page.waitForSelector('.subscriber[data-outcome="match"]');
      await picture(page, name, { fullPage: true });
      assert.deepEqual(faults, []);
      await visitor.close();
    });
  }
});
