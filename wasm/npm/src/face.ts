/**
 * What every entry exports, with the types that are published. Those of the modules that do the work stay inside: an
 * application need not know them, nor have what they are declared with.
 */

import * as far from "./connect.js";
import type { Client, ConnectOptions, PortLike } from "./types.js";

export { MistError, UnauthorizedError } from "./error.js";
export type * from "./types.js";

/**
 * Makes a client of a mist server, or of the broker that a port is attached to.
 *
 * Returns at once: what is subscribed meanwhile is taken along, and lost connections are made again.
 * @throws {@link MistError} `invalid-url`, `invalid-argument`, or `unsupported` where there is no WebSocket.
 */
export const connect: (to: string | URL | PortLike, options?: ConnectOptions) => Client = far.connect;
