/** The entry for pages: fetches the core from beside this file, when it is first needed. */

import { instantiate, loadWith } from "./core.js";

export * from "./face.js";

// In this very form bundlers take the file along.
loadWith(() => instantiate(new URL("./mist_bg.wasm", import.meta.url)));
