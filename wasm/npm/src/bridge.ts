/** Joins two brokers through a client of each. Knows nothing of brokers. */

import { MistError, report } from "./error.js";
import type { Bridge, BridgeOptions, Client, Message, Subscription, TagLike } from "./types.js";

/**
 * Publishes what either side sends also on the other. A message does not come back: a broker sends it to all but the
 * client that published it. `near` belongs to the bridge and ends with it.
 */
export function bridge(near: Client, far: Client, options: BridgeOptions): Bridge {
  const { up = [], down = [], signal, onError = report } = options ?? {};
  if (up.length + down.length === 0) {
    void near.close();
    throw new MistError("missing-tags", 'a bridge needs tag sets to pass on, such as {up: [["a"]], down: [["b", "c"]]}');
  }
  const subscriptions: Subscription[] = [];
  const close = async (): Promise<void> => {
    signal?.removeEventListener("abort", end);
    await Promise.allSettled(subscriptions.map((subscription) => subscription.unsubscribe()));
    await near.close();
  };
  const end = (): void => void close();
  try {
    pass(near, far, up, onError, subscriptions);
    pass(far, near, down, onError, subscriptions);
  } catch (error) {
    end();
    throw error;
  }
  if (signal?.aborted) end();
  else signal?.addEventListener("abort", end, { once: true });
  const ready = Promise.all(subscriptions.map((subscription) => subscription.ready)).then(() => undefined);
  ready.catch(() => {});
  return { ready, close, [Symbol.dispose]: end };
}

function pass(
  from: Client,
  to: Client,
  sets: readonly (readonly TagLike[])[],
  onError: (error: unknown) => void,
  made: Subscription[],
): void {
  let last: Message | undefined;
  const publish = (message: Message): void => {
    // One message comes once for each set that it matches, one after the other.
    if (message === last) return;
    last = message;
    to.publish(message.tags, message.data).catch((error: unknown) => {
      // Without a connection a message is lost, as any other that is published then.
      if (!(error instanceof MistError) || (error.code !== "offline" && error.code !== "closed")) onError(error);
    });
  };
  for (const tags of sets) made.push(from.subscribe(tags, publish));
}
