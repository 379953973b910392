/** What every entry exports. */

import { core } from "./core.js";

export type * from "./types.js";

/** A broker in this page. */
export interface CoreBroker {
  connect(): number;
  handle(session: number, message: string): void;
  poll(): { readonly session: number; readonly message: string } | undefined;
}

/** Creates a broker in this page. */
export async function createBroker(seed = crypto.getRandomValues(new BigUint64Array(1))[0] ?? 0n): Promise<CoreBroker> {
  const { Broker } = await core();
  return new Broker(seed);
}
