/** The entry for pages: fetches the core from beside this file, when it is first needed. */

import { init, loadWith } from "./core.js";

import { workerWith } from "./shared.js";

export * from "./face.js";

// In this very form bundlers take the file along.
loadWith(() => init(new URL("./mist_bg.wasm", import.meta.url)));
workerWith((name) => new SharedWorker(new URL("./shared-worker.js", import.meta.url), { type: "module", name }));
