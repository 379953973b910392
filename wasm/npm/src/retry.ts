/** Owns when the next attempt to connect is due. Knows nothing of connections. */

import type { Settings } from "./output.js";

/** The close code of a server that ends its connections by and by before it restarts. */
const SERVICE_RESTART = 1012;

/** The highest pause after that: what such a server let go of should not be elsewhere all at once. */
const AFTER_RESTART = 5000;

/** Between 0 and 1. */
type Random = () => number;

/**
 * The pause after so many failures: a random time up to a bound that doubles with each. The whole range down to nothing is
 * used, so that the clients of a server that restarts come back spread out.
 */
export function delay(failures: number, { retryLeast, retryMost }: Settings, random: Random): number {
  const [least, most] = retryLeast < 0 ? [500, 20_000] : [retryLeast, retryMost];
  return Math.min(least * 2 ** Math.min(failures, 20), most) * random();
}

/** What is added to it after a connection that was closed with this code. */
export function pauseAfter(code: number | undefined, { retryLeast, retryMost }: Settings, random: Random): number {
  return code === SERVICE_RESTART && retryLeast >= 0 ? Math.min(AFTER_RESTART, retryMost) * random() : 0;
}
