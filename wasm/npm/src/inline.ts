/** The entry that carries the core in itself: for Node, and for bundlers that take no other files along. */

import base64 from "../gen/base64.js";
import * as face from "./broker-face.js";

export * from "./face.js";
export type { BrokerConstructor } from "./broker-face.js";

/** A broker in this page, in this worker, or in this program. */
export type Broker = face.Broker;
export const Broker: face.BrokerConstructor = /* @__PURE__ */ face.brokers(() =>
  Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)),
);
