/** The entry without any place for the core: the application gives it to `init`. */

import * as face from "./broker-face.js";
import * as core from "./core.js";

export * from "./face.js";
export type { BrokerConstructor } from "./broker-face.js";

/** A broker in this page, in this worker, or in this program. */
export type Broker = face.Broker;
export const Broker: face.BrokerConstructor = /* @__PURE__ */ face.brokers();

/**
 * What `init` takes: the URL of the core, its bytes, a response with them, the compiled module, or a promise of any of
 * these.
 */
export type Source = string | object;

/** Loads the core from `source`. */
export const init: (source: Source) => Promise<void> = (source) => core.init(source as core.Source);
