/** The entry for pages: fetches the core from above this file, when a broker first needs it. */

import * as face from "./broker-face.js";

export * from "./face.js";
export type { BrokerConstructor } from "./broker-face.js";

/** A broker in this page, in this worker, or in this program. */
export type Broker = face.Broker;
// Bundlers recognise exactly these forms: they include the files, and leave all of it out if it is not used.
export const Broker: face.BrokerConstructor = /* @__PURE__ */ face.brokers(
  () => new URL("../mist_bg.wasm", import.meta.url),
  (name) => new SharedWorker(new URL("./shared-worker.js", import.meta.url), { type: "module", name }),
);
