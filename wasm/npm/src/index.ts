/** The entry for pages: fetches the core from beside this file, when it is first needed. */

import { instantiate, loadWith } from "./core.js";
import { workerWith } from "./shared.js";

export * from "./face.js";

// In these very forms bundlers take the files along.
loadWith(() => instantiate(new URL("./mist_bg.wasm", import.meta.url)));
workerWith((name) => new SharedWorker(new URL("./shared-worker.js", import.meta.url), { type: "module", name }));
