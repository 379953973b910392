/** What every entry exports. */

export { Broker } from "./broker.js";
export { connect } from "./connect.js";
export { MistError } from "./error.js";
export type { SharedBroker, SharedOptions } from "./shared.js";
export type * from "./types.js";
