/** Finishes the built page: adds the service worker that keeps it, and each file in the forms in which servers send it. */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const dist = fileURLToPath(new URL("../../native/server/page/dist/", import.meta.url));
const source = fileURLToPath(new URL("../src/sw.js", import.meta.url));

const files = readdirSync(dist, { recursive: true })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => statSync(dist + file).isFile())
  .sort();

const version = createHash("sha256");
for (const file of files) version.update(file).update(readFileSync(dist + file));
const kept = {
  version: version.digest("hex").slice(0, 16),
  files: files.map((file) => `./${file === "index.html" ? "" : file}`),
};
writeFileSync(`${dist}sw.js`, `const kept = ${JSON.stringify(kept)};\n${readFileSync(source, "utf8")}`);

for (const file of [...files, "sw.js"]) {
  const plain = readFileSync(dist + file);
  const forms = {
    br: brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: plain.length } }),
    gz: gzipSync(plain, { level: 9 }),
  };
  for (const [ending, form] of Object.entries(forms)) {
    // Fonts are compressed already.
    if (form.length < plain.length * 0.95) writeFileSync(`${dist + file}.${ending}`, form);
  }
}
