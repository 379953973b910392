/** The entry that carries the core in itself, for bundlers that take no other files along. */

import { initSync, loadWith } from "./core.js";
import base64 from "../dist/mist_bg.wasm";

export * from "./face.js";

loadWith(() => initSync(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))));
