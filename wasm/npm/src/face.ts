/** What every entry exports. */

import { core } from "./core.js";

export type * from "./types.js";

/** A broker in this page. */
export interface CoreBroker {
  connect(hear: (message: string) => void): number;
  receive(session: number, message: string): void;
}

/** Creates a broker in this page. */
export async function createBroker(seed = crypto.getRandomValues(new BigUint64Array(1))[0] ?? 0n): Promise<CoreBroker> {
  const { Broker } = await core();
  const host = { tag() {}, deliver() {}, command() {}, closed() {} };
  const broker = new Broker(host, seed, undefined, false, [], []);
  return {
    connect: (hear) => broker.connect({ postMessage: hear } as unknown as MessagePort, false),
    receive: (session, message) => broker.receive(session, message),
  };
}
