/**
 * Makes the moving picture of the README, `.github/page.webp`, from the built page in Chromium: `npm run picture`.
 *
 * Needs img2webp (Debian's package webp).
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { open, startSite } from "../test/harness.mjs";

const out = fileURLToPath(new URL("../../.github/page.webp", import.meta.url));
const most = 1 << 20;
const [frames, pause] = [40, 250];

const folder = mkdtempSync(`${tmpdir()}/mist-picture-`);
const site = await startSite();
try {
  const visitor = await site.visitor({ viewport: { width: 1240, height: 775 }, colorScheme: "light" });
  const { page } = await open(visitor, site.url, { opening: true });
  // Ten seconds from the beginning: the first message, and then the city.
  await page.waitForSelector("#opening:not(:empty)");
  const files = [];
  let due = performance.now();
  for (let frame = 0; frame < frames; frame++) {
    const path = `${folder}/${String(frame).padStart(3, "0")}.png`;
    await page.screenshot({ path });
    files.push(path);
    due += pause;
    await page.waitForTimeout(Math.max(0, due - performance.now()));
  }
  execFileSync("img2webp", ["-loop", "0", "-lossy", "-q", "60", "-m", "4", "-d", String(pause), ...files, "-o", out]);
} finally {
  await site.close();
  rmSync(folder, { recursive: true });
}
const { size } = statSync(out);
if (size > most) throw new Error(`${out} has ${size} bytes, more than ${most}`);
console.log(`${out}: ${size} bytes`);
