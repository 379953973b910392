/** The entry for Node: reads the core from beside this file, when it is first needed. */

import { readFileSync } from "node:fs";
import { initSync, loadWith } from "./core.js";

export * from "./face.js";

loadWith(() => initSync(readFileSync(new URL("./mist_bg.wasm", import.meta.url))));
