/**
 * Says how the page does, on this machine and in software rendering: `npm run measure`.
 *
 * Frames a second while another client publishes; how soon something is seen, and the board is open, over slow 4G with a
 * processor a quarter as fast. `MIST_PROGRAM` names the server, which has to have the page built in.
 */

import { createConnection } from "node:net";
import { once } from "node:events";
import { startServer } from "../../wasm/npm/test/harness/server.js";
import { startSite } from "../test/harness.mjs";

/** What Chromium's own tools call slow 4G: the figures are bytes a second, and milliseconds for each request. */
const slow4g = { offline: false, downloadThroughput: 180_000, uploadThroughput: 84_375, latency: 562.5 };
/** The same line as others have it, who count a round trip's time once. */
const kinder4g = { ...slow4g, latency: 150 };
const city = [
  ["bus", "district:north", "late", "line:7"],
  ["bus", "district:south", "line:12"],
  ["district:north", "full", "line:4", "tram"],
  ["district:harbour", "ferry", "line:1"],
];

const server = await startServer();
const site = await startSite();
try {
  for (const rate of [0, 10, 20, 50, 500]) console.log(`${rate} messages/s: ${await frames(rate)} frames/s`);
  for (const [name, network] of Object.entries({ "slow 4G": slow4g, "slow 4G, 150 ms": kinder4g })) {
    const { painted, open, bytes } = await opened(network);
    console.log(`${name}, CPU / 4: something is seen after ${painted} ms, the board is open after ${open} ms; ${bytes} bytes`);
  }
} finally {
  await site.close();
  await server.stop();
}

/** Frames a second while another client of the board's server publishes so many messages a second. */
async function frames(rate) {
  const visitor = await site.visitor();
  const page = await visitor.newPage();
  await page.goto(`${server.http}/#mode=server`);
  await page.waitForFunction(() => document.querySelector("#standing")?.dataset.phase === "open");
  // The opening is over, and the city stands still: only the other client is measured.
  await page.keyboard.press("Escape");
  await page.click("#all-publishers");
  const socket = createConnection(Number(new URL(server.tcp).port), "127.0.0.1");
  await once(socket, "connect");
  let sent = 0;
  const began = performance.now();
  const timer = setInterval(() => {
    let lines = "";
    for (; sent < ((performance.now() - began) / 1000) * rate; sent++) {
      lines += `${JSON.stringify({ command: "publish", tags: city[sent % city.length], data: `message ${sent}` })}\n`;
    }
    socket.write(lines);
  }, 20);
  await page.waitForTimeout(1500);
  const perSecond = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const first = performance.now();
        let count = 0;
        const next = (now) => {
          count += 1;
          if (now - first < 6000) requestAnimationFrame(next);
          else resolve(Math.round((count / (now - first)) * 1000));
        };
        requestAnimationFrame(next);
      }),
  );
  clearInterval(timer);
  socket.destroy();
  await visitor.close();
  return perSecond;
}

/** How soon something is seen and the board is open; the median of five. */
async function opened(network) {
  const all = [];
  for (let run = 0; run < 5; run++) {
    const visitor = await site.visitor();
    const page = await visitor.newPage();
    const tools = await visitor.newCDPSession(page);
    await tools.send("Network.enable");
    await tools.send("Network.emulateNetworkConditions", network);
    await tools.send("Emulation.setCPUThrottlingRate", { rate: 4 });
    let bytes = 0;
    tools.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
    await page.goto(`${server.http}/`, { waitUntil: "commit" });
    const open = await page.evaluate(
      () =>
        new Promise((resolve) => {
          const look = () => {
            if (document.querySelector("#standing")?.dataset.phase === "open") resolve(performance.now());
            else requestAnimationFrame(look);
          };
          look();
        }),
    );
    const painted = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
    all.push({ painted: Math.round(painted), open: Math.round(open), bytes });
    await visitor.close();
  }
  const median = (of) => all.map((each) => each[of]).sort((a, b) => a - b)[2];
  return { painted: median("painted"), open: median("open"), bytes: median("bytes") };
}
