/**
 * `npm run bench`: the same measurement in Node and in Chromium, one after the other. With `--record` the table in the
 * README is written anew. It does not know what is measured.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { path } from "../scripts/places.js";
import { startChromium } from "../test/harness/chromium.js";
import { serve } from "../test/harness/site.js";
import { bench } from "./bench.js";

const PAGE = `<!doctype html><title>bench</title><script type="importmap">
{ "imports": { "mist-pubsub": "/dist/page/index.js" } }</script>`;

console.log(`Node ${process.versions.node}`);
const inNode = await bench();

const browser = await startChromium();
const name = `Chromium ${browser.version().split(".")[0]}`;
console.log(`\n${name}`);
const site = await serve(path("."), { "/": PAGE });
const page = await browser.newPage();
page.on("console", (message) => console.log(message.text()));
await page.goto(site.url);
const inChromium = await page.evaluate(async () => {
  const module = "/bench/bench.js";
  return (await import(module)).bench();
});
await browser.close();
await site.close();

if (process.argv.includes("--record")) record(table());

/** One row a contestant; the columns are the engines and sizes. */
function table() {
  const sizes = [...new Set(inNode.map(({ size }) => size))];
  const columns = [
    [`Node ${process.versions.node.split(".")[0]}`, inNode],
    [name, inChromium],
  ].flatMap(([engine, results]) => sizes.map((size) => ({ title: `${engine}, ${size.toLocaleString("en")}`, results, size })));
  const rows = [...new Set(inNode.map(({ name }) => name))].map((name) => {
    const cells = columns.map(({ results, size }) => {
      const { rate } = results.find((result) => result.name === name && result.size === size);
      return Math.round(rate / 1000).toLocaleString("en");
    });
    return `| ${name} | ${cells.join(" | ")} |`;
  });
  return [
    `| thousand publishes/s, by subscriptions | ${columns.map(({ title }) => title).join(" | ")} |`,
    `|---|${columns.map(() => "--:|").join("")}`,
    ...rows,
    "",
    `${new Date().toISOString().slice(0, 10)}, ${cpus()[0]?.model ?? "unknown processor"}, medians of nine rounds in turn.`,
  ].join("\n");
}

function record(text) {
  const [start, end] = ["<!-- speed: written by `npm run bench -- --record` -->", "<!-- end of speed -->"];
  const readme = readFileSync(path("README.md"), "utf8");
  const [before, rest] = readme.split(start);
  writeFileSync(path("README.md"), `${before}${start}\n\n${text}\n\n${end}${rest.split(end)[1]}`);
}
